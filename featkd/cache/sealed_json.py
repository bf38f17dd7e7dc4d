"""JSON files that carry their own digest, so that a flipped byte anywhere in them is noticed.

The first key is ``sha256``: the digest of the whole file with the digest's own 64 digits written as
zeros.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_DIGEST = re.compile(rb'\{\s*"sha256": "([0-9a-f]{64})"')
_ZEROS = b"0" * 64


def seal(content: Mapping[str, Any]) -> bytes:
    """Write a JSON object with its digest.

    Args:
        content: values that JSON knows; it has no key ``sha256``.
    """
    blank = json.dumps({"sha256": _ZEROS.decode(), **content}, indent=1).encode()
    return blank.replace(_ZEROS, hashlib.sha256(blank).hexdigest().encode(), 1)


def unseal(data: bytes) -> dict[str, Any]:
    """Read a JSON object back and check its digest.

    Raises:
        ValueError: it is not what `seal` wrote.
    """
    content: dict[str, Any] = json.loads(unsealed(data))
    return content


def unsealed(data: bytes) -> bytes:
    """Check the digest of a sealed file and give the JSON without it.

    Raises:
        ValueError: it is not what `seal` wrote.
    """
    match = _DIGEST.match(data)
    if match is None:
        raise ValueError("it does not begin with its digest")
    blank = data[: match.start(1)] + _ZEROS + data[match.end(1) :]
    if hashlib.sha256(blank).hexdigest().encode() != match[1]:
        raise ValueError("its content does not have the digest that it begins with")
    return b"{" + data[match.end() :].lstrip(b",")
