"""Finds classes by the names and numbers that lists give them."""

from collections.abc import Sequence

from featkd.errors import ManifestError
from featkd.manifest.listing import Remark


class ClassIndex:
    """The classes of a dataset, found under names that may differ in case.

    Lists of one dataset write HandStandPushups here and HandstandPushups there. Both are one class;
    that they differ is remarked.

    Args:
        classes: class names in the order of their labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._known = frozenset(classes)
        self._folded: dict[str, list[str]] = {}
        for name in classes:
            self._folded.setdefault(name.casefold(), []).append(name)
        self._other_case: dict[str, str] = {}

    def named(self, name: str, place: str) -> str:
        """The class of that name.

        Args:
            name: as the list writes it.
            place: file and line, for messages.

        Raises:
            ManifestError: no class has the name, or several differ from it in case alone.
        """
        if name in self._known:
            return name
        fitting = self._folded.get(name.casefold(), [])
        if len(fitting) == 1:
            self._other_case.setdefault(name, place)
            return fitting[0]
        expected = " or ".join(map(repr, fitting)) or f"one of {self._summary()}"
        raise ManifestError(f"{place}: class is {name!r}; expected {expected}")

    def numbered(self, label: int, place: str) -> str:
        """The class with a label, counted from 0.

        Raises:
            ManifestError: there is no such label.
        """
        if not 0 <= label < len(self.classes):
            raise ManifestError(
                f"{place}: label is {label}; expected 0 to {len(self.classes) - 1}, "
                f"as there are {len(self.classes)} classes"
            )
        return self.classes[label]

    def require(self, given: Sequence[str], place: str) -> None:
        """Check that a list of classes is this one, up to case.

        Raises:
            ManifestError: naming the first class that differs.
        """
        if len(given) != len(self.classes):
            raise ManifestError(
                f"{place} lists {len(given)} classes; expected {len(self.classes)}: "
                f"{self._summary()}"
            )
        for label, (name, expected) in enumerate(zip(given, self.classes, strict=True)):
            if name.casefold() != expected.casefold():
                raise ManifestError(f"{place}: class {label} is {name!r}; expected {expected!r}")

    def remarks(self) -> list[Remark]:
        """The names found so far that differ from their class in case."""
        return [
            Remark(place, f"writes {name!r} for the class {self._folded[name.casefold()][0]!r}")
            for name, place in self._other_case.items()
        ]

    def _summary(self) -> str:
        shown = ", ".join(self.classes[:3])
        return f"{shown}, ..." if len(self.classes) > 3 else shown
