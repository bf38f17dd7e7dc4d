"""How long work tells its progress."""

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")


@runtime_checkable
class Progress(Protocol):
    """Shows long work. The library calls it; the command line draws it."""

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[Item]:
        """Pass items through, counting them. ``done`` of ``total`` were finished earlier."""

    def note(self, message: str) -> None:
        """Say one line without disturbing the bars."""


class Silent:
    """A `Progress` that shows nothing: the default of every function that takes one."""

    def track(
        self,
        items: Iterable[Item],
        *,
        description: str,  # noqa: ARG002 - as the protocol has it
        total: int,  # noqa: ARG002
        unit: str,  # noqa: ARG002
        done: int = 0,  # noqa: ARG002
    ) -> Iterable[Item]:
        """Pass items through."""
        return items

    def note(self, message: str) -> None:
        """Say nothing."""
