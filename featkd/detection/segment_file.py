"""How files of segments are read: ActivityNet's JSON, whichever tool wrote it."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from featkd.errors import AnnotationError
from featkd.manifest.schema import explain


def _in_order(segment: tuple[float, float]) -> tuple[float, float]:
    start_sec, end_sec = segment
    if start_sec > end_sec:
        raise ValueError(f"starts at {start_sec:g} and ends at {end_sec:g}; expected start <= end")
    return segment


SegmentSec = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_in_order)]
"""Start and end in seconds; numbers, or text that is a number, as THUMOS14's file has it."""

Label = Annotated[str, Field(min_length=1)]


class Document(BaseModel):
    """Base of what such files hold. Keys that are not read here are let be: tools add their own."""

    model_config = ConfigDict(frozen=True, extra="ignore")


AnyDocument = TypeVar("AnyDocument", bound=Document)


def read_document(path: Path, model: type[AnyDocument], expected: str) -> AnyDocument:
    """Read and check a JSON file.

    Args:
        path: the file.
        model: what it must hold.
        expected: what it should be, for messages.

    Raises:
        AnnotationError: it does not exist, is no JSON, or a value in it is wrong; names the file,
            the field and the value.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise AnnotationError(f"{path} does not exist; expected {expected}") from error
    except OSError as error:
        raise AnnotationError(
            f"{path} cannot be read: {error.strerror or error}; expected {expected}"
        ) from error
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise AnnotationError(f"{path}: {explain(error)}; expected {expected}") from error
