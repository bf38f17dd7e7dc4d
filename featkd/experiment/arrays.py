"""Names of a cache's arrays and layers beside features."""

from collections.abc import Mapping

from featkd.cache.signal import LOGITS_ARRAY
from featkd.detection.distillation import COARSE_LOGITS_ARRAY, REFINED_LOGITS_ARRAY
from featkd.recipes import AnyRecipe
from featkd.recipes.extract_section import LOGITS_KEY

TEACHER_LAYER = "teacher"
"""First layer that extraction writes; what is added later goes to ``teacher-2`` and so on."""

REPRESENTATION_LAYER = "representation"

TRAJECTORY_LAYER = "trajectory"
"""Holds the logits of the teacher's own training; extraction copies them from its run."""

VIEW_CRC_ARRAY = "view_crc32"
"""CRC32 of each view as rendered for the teacher."""

FRAMES_CRC_ARRAY = "frames_crc32"
"""CRC32 of the decoded frames that each view was cut out of, at the video's own size."""


def is_teacher_layer(name: str) -> bool:
    """Whether a layer holds what the trained teacher says."""
    return name == TEACHER_LAYER or name.startswith(f"{TEACHER_LAYER}-")


def is_extracted_layer(name: str) -> bool:
    """Whether extraction wrote a layer, or copied it."""
    return is_teacher_layer(name) or name == TRAJECTORY_LAYER


def frames_array(size: int, image: str) -> str:
    """Name of the array of rendered views."""
    return f"frames/{size}" if image == "lossless" else f"frames/{size}.{image}"


_LOGITS_ARRAYS: Mapping[str, tuple[str, ...]] = {
    "classification": (LOGITS_ARRAY,),
    "detection": (COARSE_LOGITS_ARRAY, REFINED_LOGITS_ARRAY),
}


def logits_arrays(recipe: AnyRecipe) -> tuple[str, ...]:
    """Names of the arrays that hold what a teacher of the recipe's task says beside features."""
    return _LOGITS_ARRAYS[recipe.task]


def codec_key(array: str) -> str:
    """Under which key a recipe's codecs name an array of the teacher's answers."""
    kind, _, tap = array.partition("/")
    return tap if kind == "features" else LOGITS_KEY
