"""What an extraction has to write: the layers of a cache that are missing or not complete."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from featkd.cache import ArraySpec, CacheStore, Mismatch, feature_array, refuse_mismatches
from featkd.errors import CacheError
from featkd.experiment.arrays import (
    FRAMES_CRC_ARRAY,
    TEACHER_LAYER,
    VIEW_CRC_ARRAY,
    codec_key,
    frames_array,
    is_teacher_layer,
    logits_arrays,
)
from featkd.experiment.needs import taps_to_extract
from featkd.models import BaseTeacher
from featkd.recipes import AnyRecipe
from featkd.recipes.extract_section import LOGITS_KEY
from featkd.types import TapSpec
from featkd.video import frame_blob_capacity_bytes


@dataclass(frozen=True)
class LayerJob:
    """A layer to write.

    Attributes:
        name: of the layer.
        arrays: that it consists of.
    """

    name: str
    arrays: tuple[ArraySpec, ...]

    @property
    def array_names(self) -> frozenset[str]:
        """Their names."""
        return frozenset(array.name for array in self.arrays)

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher has to run; rendered views alone do not need it."""
        rendered = {VIEW_CRC_ARRAY, FRAMES_CRC_ARRAY}
        return any(not name.startswith("frames/") for name in self.array_names - rendered)

    @property
    def is_first(self) -> bool:
        """Whether it is the layer that records the CRC of frames; later ones are checked by it."""
        return FRAMES_CRC_ARRAY in self.array_names


def wanted_arrays(recipe: AnyRecipe, taps: Sequence[TapSpec]) -> list[str]:
    """Names of all arrays that a recipe's extraction leaves."""
    names = [*logits_arrays(recipe), *map(feature_array, taps), VIEW_CRC_ARRAY, FRAMES_CRC_ARRAY]
    frames = recipe.extract.frames
    if frames is not None:
        names.append(frames_array(frames.size, frames.image))
    return names


def held_taps(store: CacheStore) -> list[TapSpec]:
    """Taps that a cache has, which have to be read to complete its parts, wanted or not."""
    prefix = "features/"
    return [
        TapSpec.parse(array.name.removeprefix(prefix))
        for name, layer in store.layers().items()
        if is_teacher_layer(name)
        for array in layer.arrays
        if array.name.startswith(prefix)
    ]


def require_formats(store: CacheStore, recipe: AnyRecipe) -> None:
    """Refuse a cache whose arrays are in other number formats than the recipe says.

    Raises:
        FingerprintError: one is.
    """
    held = {array.name: array for la in store.layers().values() for array in la.arrays}
    names = [*logits_arrays(recipe), *map(feature_array, taps_to_extract(recipe))]
    expected = {name: recipe.extract.codec(codec_key(name))[0] for name in names}
    mismatches = [
        Mismatch(f"codec.{name}", held[name].dtype, dtype)
        for name, dtype in expected.items()
        if name in held and held[name].dtype != dtype
    ]
    refuse_mismatches(mismatches, cache=store.location)


def plan_jobs(store: CacheStore, recipe: AnyRecipe, teacher: BaseTeacher) -> list[LayerJob]:
    """Layers to complete, then one for the arrays that no layer has.

    Args:
        store: the cache.
        recipe: what is wanted.
        teacher: reads the taps of the recipe and the `held_taps` of the cache.

    Raises:
        CacheError: an array of frames is to be completed that the recipe does not describe.
    """
    known = {name: la for name, la in store.layers().items() if is_teacher_layer(name)}
    held = {array.name: array for layer in known.values() for array in layer.arrays}
    jobs = [
        LayerJob(name, layer.arrays)
        for name, layer in known.items()
        if len(store.committed_parts(name)) < store.num_parts
    ]
    taps = taps_to_extract(recipe)
    wanted = wanted_arrays(recipe, taps)
    missing = [name for name in wanted if name not in held]
    for job in jobs:
        unknown = sorted(n for n in job.array_names - {*wanted} if n.startswith("frames/"))
        if unknown:
            raise CacheError(
                f"{store.location} lacks parts of {unknown[0]}, of which the recipe does not say "
                "how its frames are kept: set extract.frames as it was, or delete the array: "
                "featkd cache prune"
            )
    if missing:
        specs = {spec.name: spec for spec in describe_arrays(recipe, teacher)}
        name = TEACHER_LAYER if not known else _next_name(known)
        jobs.append(LayerJob(name, tuple(specs[array] for array in missing)))
    return jobs


def describe_arrays(recipe: AnyRecipe, teacher: BaseTeacher) -> list[ArraySpec]:
    """All arrays of an extraction; the teacher tells their shapes."""
    section = recipe.extract
    num_frames = recipe.views.train.num_frames
    specs = []
    for name, shape in teacher.answer_shapes(num_frames).items():
        dtype, compression = section.codec(codec_key(name))
        specs.append(ArraySpec(name=name, shape=shape, dtype=dtype, compression=compression))
    _, compression = section.codec(LOGITS_KEY)
    specs += [
        ArraySpec(name=VIEW_CRC_ARRAY, shape=(), dtype="uint32", compression=compression),
        ArraySpec(name=FRAMES_CRC_ARRAY, shape=(), dtype="uint32", compression=compression),
    ]
    frames = section.frames
    if frames is not None:
        num_channels = teacher.preprocess_spec.num_channels
        clip_shape = (num_channels, num_frames, frames.size, frames.size)
        shape = (
            clip_shape if frames.image == "lossless" else (frame_blob_capacity_bytes(clip_shape),)
        )
        specs.append(
            ArraySpec(
                name=frames_array(frames.size, frames.image),
                shape=shape,
                dtype="uint8",
                compression=compression,
            )
        )
    return specs


def _next_name(known: Collection[str]) -> str:
    return f"{TEACHER_LAYER}-{max(int(name.partition('-')[2] or 1) for name in known) + 1}"
