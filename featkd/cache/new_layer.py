"""A layer on its way into a cache: checked against those there are."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from featkd.cache.fingerprint import require_match
from featkd.cache.spec import ArraySpec, LayerSpec
from featkd.errors import CacheError


def is_new_layer(
    name: str, wanted: LayerSpec, known: Mapping[str, LayerSpec], *, cache: str
) -> bool:
    """Whether a layer has to be made; False where the very same one exists.

    Args:
        name: of the layer.
        wanted: what it shall be.
        known: the layers there are.
        cache: where they are, for messages.

    Raises:
        CacheError: the layer exists with other arrays, or an array belongs to another layer or
            would lie in the folder of another.
        FingerprintError: the layer exists and was made from something else.
    """
    if name in known:
        require_match(
            known[name].fingerprint, wanted.fingerprint, cache=f"layer {name!r} of {cache}"
        )
        if known[name].arrays != wanted.arrays:
            raise CacheError(
                f"layer {name!r} of {cache} has {_describe(known[name].arrays)}; "
                f"{_describe(wanted.arrays)} is asked for"
            )
        return False
    taken = [array.name for layer in known.values() for array in layer.arrays]
    for array in wanted.arrays:
        if array.name in taken:
            raise CacheError(f"{cache} already has an array {array.name!r}")
        path = PurePosixPath(array.name)
        for other in taken:
            if path.is_relative_to(other) or PurePosixPath(other).is_relative_to(path):
                raise CacheError(
                    f"array {array.name!r} and array {other!r} of {cache} would lie in one "
                    "another; expected names that are no folder of another"
                )
        taken.append(array.name)
    return True


def _describe(arrays: Sequence[ArraySpec]) -> str:
    return ", ".join(f"{array.name} {array.dtype}{list(array.shape)}" for array in arrays)
