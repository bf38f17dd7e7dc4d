"""Fingerprints: what a layer of a cache was made from, and whether that is what is expected."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from featkd.errors import FingerprintError

Scalar = str | int | float | bool | None
FingerprintValue = Scalar | list[Scalar] | tuple[Scalar, ...]
Fingerprint = Mapping[str, FingerprintValue]
"""Flat names to values, for example ``{"teacher.model": "i3d", "preprocess.size": 224}``."""

ABSENT = "(absent)"
_NUM_FIELDS_SPELT_OUT = 3
_REMEDIES = dict.fromkeys(
    ("teacher.taps", "views.num_views"), "what is missing is added by: featkd extract"
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field in which a cache differs from what is expected.

    A field that one side lacks has the value `ABSENT` there.
    """

    field: str
    cached: FingerprintValue
    expected: FingerprintValue


def compare(cached: Fingerprint, expected: Fingerprint) -> list[Mismatch]:
    """List the fields that differ, in alphabetical order.

    Lists and tuples of equal elements are equal, because JSON knows only lists.
    """
    return [
        Mismatch(name, cached.get(name, ABSENT), expected.get(name, ABSENT))
        for name in sorted(cached.keys() | expected.keys())
        if name not in cached
        or name not in expected
        or _comparable(cached[name]) != _comparable(expected[name])
    ]


def require_match(cached: Fingerprint, expected: Fingerprint, *, cache: str) -> None:
    """Refuse a cache that was made from something else.

    Args:
        cached: fingerprint found in the cache.
        expected: fingerprint of the recipe at hand.
        cache: where the fingerprint was found, for the message.

    Raises:
        FingerprintError: they differ.
    """
    refuse_mismatches(compare(cached, expected), cache=cache)


def refuse_mismatches(mismatches: Sequence[Mismatch], *, cache: str) -> None:
    """Refuse a cache for what differs; do nothing where nothing does.

    Raises:
        FingerprintError: there are mismatches. The message spells out three fields with both
            values and names the rest.
    """
    if not mismatches:
        return
    spelt_out = "; ".join(
        f"{item.field} is {item.cached!r} in the cache, but {item.expected!r} is expected"
        for item in mismatches[:_NUM_FIELDS_SPELT_OUT]
    )
    rest = mismatches[_NUM_FIELDS_SPELT_OUT:]
    if rest:
        spelt_out += f"; and {len(rest)} more: {', '.join(item.field for item in rest)}"
    remedies = {item.field: _REMEDIES[item.field] for item in mismatches if item.field in _REMEDIES}
    advice = "".join(f"; {remedy}" for remedy in dict.fromkeys(remedies.values()))
    raise FingerprintError(f"{cache} does not fit: {spelt_out}{advice}")


def sha256_of_state_dict(state_dict: Mapping[str, Tensor]) -> str:
    """Digest names, dtypes, shapes and bytes of a model's weights, in any key order.

    Args:
        state_dict: as ``nn.Module.state_dict()`` gives it; on any device.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous()
        # JSON ends each header unambiguously, so no name can pass for a name and a dtype.
        header = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(header.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _comparable(value: FingerprintValue) -> object:
    return list(value) if isinstance(value, tuple) else value
