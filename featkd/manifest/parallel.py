"""Work on many files at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from featkd.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, num_workers: int
) -> Iterator[Result]:
    """Apply ``work`` to every item, in threads, and give the results in the items' order.

    Only a few items per worker are under way at a time, so that stopping early stops soon.

    Raises:
        UsageError: if ``num_workers`` is below 1.
    """
    if num_workers < 1:
        raise UsageError(f"num_workers is {num_workers}; expected 1 or more")
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= 4 * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
