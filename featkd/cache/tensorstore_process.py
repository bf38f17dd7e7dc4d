"""Which process may use tensorstore.

tensorstore runs threads, which do not survive a fork: a forked child that uses it after its parent
did is aborted on the spot. Such a child is given an error it can act on instead.
"""

import os

from featkd.errors import CacheError

_pids: set[int] = set()


def claim_tensorstore() -> None:
    """Record that this process uses tensorstore from now on.

    Raises:
        CacheError: a process that it was forked from does.
    """
    pid = os.getpid()
    if not _pids <= {pid}:
        raise CacheError(
            f"process {pid} was forked from one that writes caches, and so cannot write one; "
            "start it by 'spawn'"
        )
    _pids.add(pid)
