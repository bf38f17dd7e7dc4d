"""Random generators named by what they are for, so that nothing depends on order or worker."""

import hashlib

from numpy.random import Generator, Philox


def named_generator(*name: str | int) -> Generator:
    """Return the generator of a name: equal names give equal streams, others independent ones.

    Args:
        name: what the numbers are for, for example ``(seed, split, class_name, index)``.
    """
    text = "\x1f".join(str(part) for part in name)
    key = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return Generator(Philox(key=int.from_bytes(key, "little")))
