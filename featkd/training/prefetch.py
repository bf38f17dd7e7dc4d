"""Loading ahead of need: the next items are made ready while the current one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def prefetched(
    items: Iterable[Item], load: Callable[[Item], Loaded], *, depth: int
) -> Iterator[tuple[Item, Loaded]]:
    """Pair every item with what ``load`` makes of it, in the items' order.

    One thread draws the items and loads them, at most ``depth`` beyond the one given out. An error
    of either surfaces where its item would have come. The thread ends with the items, at an error,
    or when the generator is closed, and a generator of items is closed with it.

    Args:
        items: drawn in the thread.
        load: called in the thread, one item at a time.
        depth: how many items to be ahead, 1 or more.
    """
    remaining = iter(items)

    def take() -> tuple[Item, Loaded] | None:
        for item in remaining:
            return item, load(item)
        return None

    ahead: deque[Future[tuple[Item, Loaded] | None]] = deque()
    with ThreadPoolExecutor(1, "featkd-prefetch") as pool:
        try:
            ahead.extend(pool.submit(take) for _ in range(depth))
            while (taken := ahead.popleft().result()) is not None:
                ahead.append(pool.submit(take))
                yield taken
        finally:
            pool.shutdown(cancel_futures=True)
            if isinstance(remaining, Generator):
                remaining.close()
