"""The error tree. Every failure a user can cause or meet is one of these.

::

    FeatkdError
    ├── UsageError                 arguments that contradict each other
    ├── ManifestError              a manifest, or a folder it is built from, is wrong
    ├── AnnotationError            a file of annotated or predicted segments is wrong
    ├── VideoError                 a video file cannot serve
    │   ├── VideoOpenError         not a video, empty, truncated beyond opening, no video stream
    │   └── VideoDecodeError       it opens, but a frame that is needed does not decode
    ├── FlowError                  a folder of optical flow is missing, unfinished or made otherwise
    ├── ModelError                 unknown model, layer or shape
    │   └── CheckpointError        a weights file is missing, damaged or of another model
    ├── RecipeError                unknown key, wrong value, missing section
    ├── RequirementError           a distiller needs what the teacher signal does not hold
    ├── TrainingError              a run cannot go on: a loss is not finite
    └── CacheError                 a cache is missing, damaged or in use
        ├── CacheIncompleteError   rows were asked for that are not committed
        ├── CacheLockedError       another process is writing to it
        ├── FingerprintError       it was made by another teacher, recipe or manifest
        └── StorageFullError       the disk has no room left

A message is one sentence that names the file, the field, the value and what was expected. The
command line prints it in one line and exits with status 1; library users catch ``FeatkdError``.
"""


class FeatkdError(Exception):
    """Base of every error featkd raises on purpose."""


class UsageError(FeatkdError):
    """Arguments that contradict each other or cannot be honoured."""


class ManifestError(FeatkdError):
    """A manifest, or the folder it is built from, is wrong."""


class AnnotationError(FeatkdError):
    """A file of annotated or predicted segments of videos is wrong."""


class VideoError(FeatkdError):
    """A video file cannot serve."""


class VideoOpenError(VideoError):
    """The file is not a video: empty, truncated beyond opening, or without a video stream."""


class VideoDecodeError(VideoError):
    """The file opens, but a frame that is needed does not decode."""


class FlowError(FeatkdError):
    """A folder of optical flow is missing, unfinished or made in another way."""


class ModelError(FeatkdError):
    """Unknown model, layer or shape."""


class CheckpointError(ModelError):
    """A weights file is missing, damaged or belongs to another model."""


class RecipeError(FeatkdError):
    """A recipe has an unknown key, a wrong value or lacks a section."""


class RequirementError(FeatkdError):
    """A distiller needs something that the teacher signal does not hold."""


class TrainingError(FeatkdError):
    """A training run cannot go on."""


class CacheError(FeatkdError):
    """A cache is missing, damaged or in use."""


class CacheIncompleteError(CacheError):
    """Rows were asked for that are not committed."""


class CacheLockedError(CacheError):
    """Another process is writing to the cache."""


class FingerprintError(CacheError):
    """The cache was made by another teacher, recipe or manifest."""


class StorageFullError(CacheError):
    """The disk has no room left."""
