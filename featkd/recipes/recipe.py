"""What a recipe may say. Everything a run depends on is here and nowhere else."""

from typing import Literal

from pydantic import model_validator

from featkd.distillers import DistillerSpec
from featkd.models import FactorySpec, ModelSpec, NetworkSpec, PreprocessSpec
from featkd.recipes.base_recipe import BaseRecipe, RunName
from featkd.recipes.weights_section import WeightsSection
from featkd.synthetic import SyntheticSpec
from featkd.training import RepresentationSpec, TrainingSpec
from featkd.types import Spec
from featkd.video import EvaluationViews, TrainingViews


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


class Recipe(BaseRecipe):
    """An experiment on classification: data, views, teacher, cache, representation, students."""

    task: Literal["classification"] = "classification"
    synthetic: SyntheticSpec | None = None
    """How ``featkd synthesize`` makes the data, where it is generated."""
    views: ViewsSection = ViewsSection()
    teacher: NetworkSection = NetworkSection()
    representation: RepresentationSpec = RepresentationSpec()
    student: StudentSection = StudentSection()
    distillers: dict[RunName, DistillerSpec]
    """Students to train, by name."""

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
        self.require_modality(self.teacher.preprocess, self.student.preprocess)
        return self
