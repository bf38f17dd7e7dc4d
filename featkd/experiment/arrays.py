"""Names of a cache's arrays and layers beside features and logits."""

TEACHER_LAYER = "teacher"
"""First layer that extraction writes; what is added later goes to ``teacher-2`` and so on."""

REPRESENTATION_LAYER = "representation"

VIEW_CRC_ARRAY = "view_crc32"
"""CRC32 of each view as rendered for the teacher."""

FRAMES_CRC_ARRAY = "frames_crc32"
"""CRC32 of the decoded frames that each view was cut out of, at the video's own size."""


def is_teacher_layer(name: str) -> bool:
    """Whether extraction wrote a layer."""
    return name == TEACHER_LAYER or name.startswith(f"{TEACHER_LAYER}-")


def frames_array(size: int, image: str) -> str:
    """Name of the array of rendered views."""
    return f"frames/{size}" if image == "lossless" else f"frames/{size}.{image}"
