"""Which process uses tensorstore.

tensorstore runs threads, which do not survive a fork: a forked child that uses it after its parent
did is aborted on the spot. This module remembers the use, so that such a child can be given
another reader, or an error it can act on.
"""

import os

_pids: set[int] = set()


def tensorstore_is_usable() -> bool:
    """Whether this process can use tensorstore: no process that it was forked from does."""
    return _pids <= {os.getpid()}


def note_tensorstore_use() -> None:
    """Record that this process uses tensorstore from now on."""
    _pids.add(os.getpid())
