"""What every recipe says, whatever the task."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from featkd.models import PreprocessSpec
from featkd.recipes.extract_section import ExtractSection
from featkd.training import LoadingSpec
from featkd.types import Spec

RunName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+]*$")]
"""Names that become folder names: letters, digits, ``_``, ``.``, ``+``."""


class DataSection(Spec):
    """Which videos."""

    manifest: Path
    """Manifest file."""
    root: Path | None = None
    """Folder the manifest's paths start from; default: the manifest's own folder."""
    flow: Path | None = None
    """Folder of optical flow, for networks whose ``preprocess.modality`` is ``flow``: made by
    ``featkd flow``, or images or arrays that others computed."""
    train_split: str = "train"
    """Split that is extracted and trained on."""
    validation_split: str = "val"
    """Split on which weights are searched."""
    test_split: str = "test"
    """Split that is only ever measured on."""


class BaseRecipe(Spec):
    """One experiment: where its data is, where its outputs go, what a cache keeps."""

    name: RunName
    """Short name; the default working folder is ``runs/<name>``."""
    description: str = ""
    """One sentence for ``featkd recipe list``."""
    workdir: Path | None = None
    """Where outputs go."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of views, teacher and representation; students have their own."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    data: DataSection
    loading: LoadingSpec = LoadingSpec()
    extract: ExtractSection = ExtractSection()

    @property
    def folder(self) -> Path:
        """Where outputs go."""
        return self.workdir if self.workdir is not None else Path("runs") / self.name

    def require_modality(self, teacher: PreprocessSpec, student: PreprocessSpec) -> None:
        """Check that teacher and student see the same, and that it is there to be seen.

        Raises:
            ValueError: they differ, or flow has no folder or is to be kept as JPEG images.
        """
        if student.modality != teacher.modality:
            raise ValueError(
                f"teacher.preprocess.modality is {teacher.modality} and "
                f"student.preprocess.modality {student.modality}; expected the same: a student "
                "sees what its teacher saw"
            )
        if teacher.modality == "rgb":
            return
        if self.data.flow is None:
            raise ValueError(
                f"preprocess.modality is {teacher.modality} and data.flow is not set; expected the "
                "folder that holds the flow (featkd flow computes it)"
            )
        if self.extract.frames is not None and self.extract.frames.image == "jpeg":
            raise ValueError(
                "extract.frames.image is jpeg and preprocess.modality flow; expected lossless: "
                "flow has two channels, which no JPEG image has"
            )
