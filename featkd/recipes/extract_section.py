"""What a recipe says about extraction: what is kept of the teacher, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from featkd.cache import DEFAULT_COMPRESSION, Backend, Compression, FeatureDtype
from featkd.types import Spec, TapSpec

LOGITS_KEY = "logits"
ATTENTION_KEY = "attention"


class CodecSpec(Spec):
    """How one array is kept."""

    dtype: FeatureDtype
    """Number format."""
    compression: Compression | None = None
    """Lossless compression on top; default: that of the section."""


class FramesSpec(Spec):
    """Rendered views kept in the cache, so that no student decodes video again."""

    size: Annotated[int, Field(ge=8)]
    """Height and width in pixels: the student's."""
    image: Literal["lossless", "jpeg"] = "lossless"
    """Every pixel as it is, or one JPEG image a frame: smaller, and not quite what was filmed."""
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """Of JPEG images."""


class ExtractSection(Spec):
    """What is kept of the teacher, and how it is computed."""

    batch_size: Annotated[int, Field(ge=1)] = 16
    """Views the teacher sees at once, whether it fills a cache or answers live."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What the teacher computes in; below float32 through autocast."""
    compile: bool = False
    """Whether to run the teacher through ``torch.compile``."""
    devices: tuple[str, ...] = ()
    """Devices that share the work, a teacher on each; default: the recipe's device alone."""
    backend: Backend = "zarr"
    """What arrays are stored in."""
    part_rows: Annotated[int, Field(ge=1, le=4096)] = 64
    """Rows that are written and committed together."""
    dtype: FeatureDtype = "float16"
    """Number format of full and pooled maps and of attention; all else is float32."""
    compression: Compression | None = None
    """Lossless compression; default: lz4 in Zarr, gzip in HDF5, where every reader knows it."""
    codecs: dict[str, CodecSpec] = Field(default_factory=dict)
    """Exceptions, by tap (``Mixed_5c.full``), ``logits`` or ``attention``."""
    frames: FramesSpec | None = None
    """Rendered views to keep beside the teacher's answers, if any."""
    taps: tuple[str, ...] = ()
    """Taps beyond those the recipe's distillers need, for example ``Mixed_4f.pooled``."""

    @model_validator(mode="after")
    def _names_parse(self) -> "ExtractSection":
        for key in self.taps:
            TapSpec.parse(key)
        for key in self.codecs:
            if key not in {LOGITS_KEY, ATTENTION_KEY}:
                TapSpec.parse(key)
        return self

    def codec(self, key: str) -> tuple[FeatureDtype, Compression]:
        """Number format and compression of a tap, ``logits`` or ``attention``."""
        default = self.compression or DEFAULT_COMPRESSION[self.backend]
        if key in self.codecs:
            chosen = self.codecs[key]
            return chosen.dtype, chosen.compression or default
        # Logits are few. Squares and deviations leave float16's range long before maps do.
        is_map = key == ATTENTION_KEY or key.endswith((".full", ".pooled"))
        return self.dtype if is_map else "float32", default
