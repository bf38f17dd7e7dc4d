"""What a recipe may say. Everything a run depends on is here and nowhere else."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from featkd.distillers import DistillerSpec
from featkd.models import FactorySpec, ModelSpec, NetworkSpec, PreprocessSpec
from featkd.recipes.extract_section import ExtractSection
from featkd.recipes.weights_section import WeightsSection
from featkd.synthetic import SyntheticSpec
from featkd.training import LoadingSpec, RepresentationSpec, TrainingSpec
from featkd.types import Spec
from featkd.video import EvaluationViews, TrainingViews

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


class ViewsSection(Spec):
    """What networks see of a video."""

    train: TrainingViews = TrainingViews()
    """Random views, several a video; teacher and student see the same ones."""
    evaluate: EvaluationViews = EvaluationViews()
    """Fixed views, averaged."""


class NetworkSection(Spec):
    """A network and how it is trained."""

    model: NetworkSpec = ModelSpec()
    """Architecture: a member of the I3D family, or a model from elsewhere."""
    weights: WeightsSection | None = None
    """Weights from elsewhere that it starts from."""
    preprocess: PreprocessSpec = PreprocessSpec()
    """Input: size, colours or flow, normalisation."""
    training: TrainingSpec = TrainingSpec()
    """Epochs, batch size, optimiser."""


class StudentSection(NetworkSection):
    """The network of students and how it is trained."""

    model: NetworkSpec = ModelSpec(name="top_i3d")
    """Architecture: a member of the I3D family, or a model from elsewhere."""
    init_from_teacher: bool = False
    """Whether students start from the teacher's layers, as far as they fit."""

    @model_validator(mode="after")
    def _one_beginning(self) -> "StudentSection":
        if self.init_from_teacher and self.weights is not None:
            raise ValueError("init_from_teacher is true and weights is set; expected one of them")
        return self


class Recipe(Spec):
    """One experiment: data, views, teacher, cache, representation, students."""

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
    synthetic: SyntheticSpec | None = None
    """How ``featkd synthesize`` makes the data, where it is generated."""
    views: ViewsSection = ViewsSection()
    loading: LoadingSpec = LoadingSpec()
    teacher: NetworkSection = NetworkSection()
    extract: ExtractSection = ExtractSection()
    representation: RepresentationSpec = RepresentationSpec()
    student: StudentSection = StudentSection()
    distillers: dict[RunName, DistillerSpec]
    """Students to train, by name."""

    @property
    def folder(self) -> Path:
        """Where outputs go."""
        return self.workdir if self.workdir is not None else Path("runs") / self.name

    def factories(self) -> frozenset[str]:
        """Targets of the factories that the recipe names, and that may therefore be called."""
        models = (self.teacher.model, self.student.model)
        return frozenset(model.target for model in models if isinstance(model, FactorySpec))

    @model_validator(mode="after")
    def _views_fit(self) -> "Recipe":
        if self.views.train.num_frames != self.views.evaluate.num_frames:
            raise ValueError(
                f"views.train.num_frames is {self.views.train.num_frames} and "
                f"views.evaluate.num_frames {self.views.evaluate.num_frames}; expected the same"
            )
        return self

    @model_validator(mode="after")
    def _modality_fits(self) -> "Recipe":
        modality = self.teacher.preprocess.modality
        if self.student.preprocess.modality != modality:
            raise ValueError(
                f"teacher.preprocess.modality is {modality} and student.preprocess.modality "
                f"{self.student.preprocess.modality}; expected the same: a student sees what its "
                "teacher saw"
            )
        if modality == "rgb":
            return self
        if self.data.flow is None:
            raise ValueError(
                f"preprocess.modality is {modality} and data.flow is not set; expected the folder "
                "that holds the flow (featkd flow computes it)"
            )
        if self.extract.frames is not None and self.extract.frames.image == "jpeg":
            raise ValueError(
                "extract.frames.image is jpeg and preprocess.modality flow; expected lossless: "
                "flow has two channels, which no JPEG image has"
            )
        return self
