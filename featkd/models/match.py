"""Weights of others against a network: what fits, what does not, and nothing passed over."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field

from torch import Tensor, nn

from featkd.errors import CheckpointError

_NUM_NAMES = 5
# Counts the batches of a training; read by nothing where batch norm has a momentum, as here.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class ShapeMismatch:
    """A tensor that both sides have in different shapes.

    Attributes:
        name: in the network.
        found: shape in the file.
        expected: shape in the network.
    """

    name: str
    found: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MatchReport:
    """How weights fit a network.

    Attributes:
        matched: names of the network that were loaded.
        missing: names of the network that the file lacks.
        unexpected: names of the file that the network lacks.
        mismatched: tensors of other shapes.
        replaced: names that were asked not to be loaded, such as a classifier's; they start anew.
        counters: batch counters that the file lacks, as files of old versions do; they start at 0.
    """

    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[ShapeMismatch, ...] = ()
    replaced: tuple[str, ...] = ()
    counters: tuple[str, ...] = field(default=(), repr=False)

    @property
    def fits(self) -> bool:
        """Whether every weight found its place and every place its weight."""
        return bool(self.matched) and not (self.missing or self.unexpected or self.mismatched)

    def to_json(self) -> dict[str, object]:
        """All of it, and whether it fits, ready for ``json.dumps``."""
        return {**asdict(self), "fits": self.fits}

    def explain(self) -> str:
        """What does not fit, in one sentence; names up to five of each kind."""
        shapes = [f"{m.name} is {m.found}, expected {m.expected}" for m in self.mismatched]
        parts = [
            f"{len(names)} {what}: {'; '.join(names[:_NUM_NAMES])}"
            + (f" and {len(names) - _NUM_NAMES} more" if len(names) > _NUM_NAMES else "")
            for what, names in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", shapes),
            )
            if names
        ]
        return f"{len(self.matched)} tensors match; " + ("; ".join(parts) or "nothing is amiss")


def match_weights(
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    *,
    replaced: Collection[str] = (),
    file_names: Mapping[str, str] | None = None,
) -> MatchReport:
    """Compare weights with a network, name by name and shape by shape.

    Args:
        expected: the network's state dictionary.
        found: weights, by the network's names.
        replaced: names of the network that shall not be loaded.
        file_names: what the file calls each, for the report.
    """
    names = file_names or {}
    asked = [name for name in expected if name not in replaced]
    absent = [name for name in asked if name not in found]
    shared = [name for name in asked if name in found]
    return MatchReport(
        matched=tuple(n for n in shared if found[n].shape == expected[n].shape),
        missing=tuple(n for n in absent if not n.endswith(_COUNTER)),
        unexpected=tuple(names.get(n, n) for n in found if n not in expected),
        mismatched=tuple(
            ShapeMismatch(n, tuple(found[n].shape), tuple(expected[n].shape))
            for n in shared
            if found[n].shape != expected[n].shape
        ),
        replaced=tuple(name for name in expected if name in replaced),
        counters=tuple(name for name in absent if name.endswith(_COUNTER)),
    )


def load_weights(
    network: nn.Module,
    found: Mapping[str, Tensor],
    *,
    source: str,
    replaced: Collection[str] = (),
    file_names: Mapping[str, str] | None = None,
    advice: str = "",
) -> MatchReport:
    """Load weights that fit a network, or none.

    Args:
        network: takes them.
        found: weights, by the network's names.
        source: where they come from, for the message.
        replaced: names of the network that keep what they have.
        file_names: what the file calls each, for the report.
        advice: what to do where they do not fit.

    Raises:
        CheckpointError: something is missing, left over or of another shape; names it.
    """
    expected = network.state_dict()
    report = match_weights(expected, found, replaced=replaced, file_names=file_names)
    if not report.fits:
        raise CheckpointError(f"{source} does not fit: {report.explain()}{advice}")
    network.load_state_dict({name: found[name] for name in report.matched}, strict=False)
    return report
