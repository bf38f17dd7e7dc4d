"""Names of a cache's arrays and layers beside features and logits."""

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
