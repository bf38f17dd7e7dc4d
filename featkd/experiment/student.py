"""Students for classification."""

from featkd.cache.signal import feature_array
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.base_students import BaseStudents
from featkd.experiment.classifier_run import ClassifierRun
from featkd.experiment.initial_weights import InitialWeights, WeightsOfFile, WeightsOfTeacher
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace
from featkd.models import (
    LAST_LAYER,
    LiveSignal,
    ModelSpec,
    NetworkCard,
    NetworkSpec,
    ReusedClassifierSpec,
    resolve_spec,
)
from featkd.training import RenderedViews
from featkd.types import TapSpec, TeacherSignal


class Students(BaseStudents[Workspace, OpenedCache, NetworkCard, TeacherSignal]):
    """The students of a workspace for classification; see `BaseStudents`.

    Args:
        workspace: recipe and folders.
        teacher: of the workspace.
    """

    def __init__(self, workspace: Workspace, teacher: FrozenTeacher) -> None:
        super().__init__(workspace, teacher, OpenedCache)
        self.teacher = teacher

    def card(self, workspace: Workspace, name: str) -> NetworkCard:
        """The network of a student, with the attention head or the projector its distiller needs.

        Raises:
            UsageError: the distiller changes the student, and the student is a foreign model.
            ModelError: the student's configuration cannot be read.
        """
        recipe = workspace.recipe
        model = recipe.student.model
        needs = distiller_requirements(recipe, name)
        if not isinstance(model, ModelSpec):
            return _foreign_card(workspace, name, model, needs)
        added: dict[str, object] = {}
        if needs.student_attention and model.attention_head is None:
            added["attention_head"] = recipe.representation.attention_head
        if needs.student_projector is not None:
            last_map = TapSpec(LAST_LAYER, "full")
            shapes = self.teacher.with_taps((last_map,)).answer_shapes(
                recipe.views.train.num_frames
            )
            channels, time, height, width = shapes[feature_array(last_map)]
            added["reused_classifier"] = ReusedClassifierSpec(
                channels=channels, size=(time, height, width), projector=needs.student_projector
            )
        return _card(workspace, ModelSpec.model_validate({**model.model_dump(), **added}))

    def run(
        self, workspace: Workspace, name: str, seed: int, card: NetworkCard, opened: OpenedCache
    ) -> ClassifierRun:
        """The run of a student that learns from the cache."""
        return ClassifierRun(
            kind="student",
            name=name,
            seed=seed,
            folder=workspace.student_folder(name, seed),
            card=card,
            training=workspace.recipe.student.training,
            distiller=workspace.recipe.distillers[name],
            fingerprint=opened.fingerprint,
            signal="cached",
            exceptions=opened.exceptions,
            initial=self._initial_weights(workspace, card),
        )

    def live_signal(self, opened: OpenedCache, needs: Requirements) -> LiveSignal:
        """The teacher itself as a source of what is needed."""
        full_maps = {TapSpec(layer, "full") for layer in needs.attention_layers}
        return LiveSignal(
            self.teacher.with_taps(sorted({*needs.taps, *full_maps})),
            taps=needs.taps,
            attention_layers=needs.attention_layers,
            classifier=opened.classifier(),
            modules=opened.modules(),
        )

    def views(self, sizes: tuple[int, ...]) -> RenderedViews:
        """What students are trained on, rendered at these sizes in pixels."""
        recipe = self.workspace.recipe
        modality = recipe.student.preprocess.modality
        return self.workspace.rendered(recipe.data.train_split, recipe.views.train, sizes, modality)

    def _initial_weights(self, workspace: Workspace, card: NetworkCard) -> InitialWeights | None:
        """What the recipe's students start from; None where it is random numbers."""
        section = workspace.recipe.student
        if section.init_from_teacher:
            return WeightsOfTeacher(self.teacher.network.state_dict(), self.teacher.weights_sha256)
        if section.weights is None:
            return None
        return WeightsOfFile(section.weights, card, is_student=True)


def _foreign_card(
    workspace: Workspace, name: str, model: NetworkSpec, needs: Requirements
) -> NetworkCard:
    parts = needs.student_parts()
    if parts:
        raise UsageError(
            f"distiller {name!r} gives the student: {', '.join(parts)}, for the maps of the I3D "
            "family; student.model is of another kind, so expected a distiller that leaves the "
            "student as it is, or one of i3d, top_i3d, bottom_i3d, i2d"
        )
    return _card(workspace, resolve_spec(model))


def _card(workspace: Workspace, model: NetworkSpec) -> NetworkCard:
    recipe = workspace.recipe
    return NetworkCard(
        model=model,
        classes=workspace.manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=recipe.student.preprocess,
    )
