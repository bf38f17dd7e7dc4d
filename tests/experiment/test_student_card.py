"""The network of a student follows from its distiller and from the teacher."""

from collections.abc import Callable
from pathlib import Path

import torch

from featkd.experiment import Workspace
from featkd.experiment.student import Students
from featkd.experiment.teacher import FrozenTeacher
from featkd.models import NetworkCard, ProjectorSpec, save_network


def test_student_card__projects_to_the_teachers_map_of_a_view(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    workspace = make_workspace(
        tmp_path,
        "distillers.simkd={kind: simkd, reduction: 4}",
        "teacher.preprocess.size=64",
        "student.preprocess.size=96",
    )
    section = workspace.recipe.teacher
    # A teacher that was trained on longer clips than the views of the recipe have.
    card = NetworkCard(
        model=section.model,
        classes=workspace.manifest.header.classes,
        num_frames=32,
        preprocess=section.preprocess,
    )
    workspace.teacher_folder.mkdir(parents=True)
    save_network(workspace.teacher_folder / "model.safetensors", card.build(), card)
    teacher = FrozenTeacher(workspace)
    assert teacher.network.layer_shapes["Mixed_5c"] == (64, 4, 2, 2)

    students = Students(workspace, teacher)
    built = students.card(workspace, "simkd")
    assert built.model.reused_classifier is not None
    assert built.model.reused_classifier.channels == 64
    assert built.model.reused_classifier.size == (2, 2, 2)
    assert built.model.reused_classifier.projector == ProjectorSpec(reduction=4)
    output = built.build().eval()(torch.zeros(1, *built.input_shape))
    assert output.features["Mixed_5c"].shape[2:] == (2, 3, 3)
    assert output.projected is not None
    assert output.projected.shape == (1, 64, 2, 2, 2)
    assert students.card(workspace, "none").model.reused_classifier is None
