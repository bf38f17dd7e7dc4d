"""Teachers and students from elsewhere, from weights and recipe to a trained student."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from featkd.cache import FolderStore
from featkd.errors import CheckpointError, FingerprintError, ModelError, RecipeError, UsageError
from featkd.experiment import (
    FrozenTeacher,
    Workspace,
    distill,
    evaluate_run,
    represent,
    sweep,
    train_teacher,
    vary,
)
from featkd.experiment.initial_weights import WeightsOfFile
from featkd.extract import extract
from featkd.models import NetworkCard, ReusedClassifierSpec, VideoClassifier, load_network
from featkd.recipes import WeightsSection, dump_recipe, load_recipe

MakeWorkspace = Callable[..., Workspace]
Save = Callable[..., Path]
NEEDS_TRANSFORMERS = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: extra [hub]",
)
VIDEOMAE = {
    "model_type": "videomae", "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 16,
    "num_frames": 16, "tubelet_size": 2,
}  # fmt: skip


def network_of(workspace: Workspace, num_classes: int | None = None) -> VideoClassifier:
    """A random I3D of the recipe's teacher, with running statistics."""
    torch.manual_seed(7)
    size = workspace.recipe.teacher.preprocess.size
    classes = num_classes or len(workspace.manifest.header.classes)
    network = VideoClassifier(workspace.recipe.teacher.model, classes, (3, 16, size, size))
    network(torch.randn(4, 3, 16, size, size))
    return network.eval()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write weights in the layout of pytorch-i3d, wrapped as training scripts do."""

    def write(network: VideoClassifier, **changes: Tensor) -> Path:
        state = dict(network.backbone.state_dict()) | changes
        path = tmp_path / "weights.pt"
        torch.save({"state_dict": {f"module.{n}": v for n, v in state.items()}}, path)
        return path

    return write


def test_train_teacher__weights_that_fit_are_the_teacher(
    tmp_path: Path, make_workspace: MakeWorkspace, save: Save
) -> None:
    workspace = make_workspace(tmp_path / "work")
    original = network_of(workspace)
    path = save(original)
    workspace = make_workspace(tmp_path / "work", f"teacher.weights={path}")
    assert train_teacher(workspace)
    assert not train_teacher(workspace)
    card, loaded = load_network(workspace.teacher_folder / "model.safetensors")
    assert card.origin is not None
    assert (card.origin.file, card.origin.layout) == ("weights.pt", "pytorch_i3d")
    clip = torch.randn(1, 3, 16, 32, 32)
    assert torch.equal(loaded(clip).logits, original(clip).logits)
    record = json.loads((workspace.teacher_folder / "initial_weights.json").read_text())
    assert len(record["matched"]) == 344
    assert record["origin"]["sha256"] == card.origin.sha256
    assert evaluate_run(workspace, workspace.teacher_folder).num_videos == 6
    extract(workspace)
    with FolderStore.open(workspace.cache_path) as store:
        fingerprint = store.layers()["teacher"].fingerprint
    assert fingerprint["teacher.origin_sha256"] == card.origin.sha256
    # The teacher's folder is enough from now on.
    path.unlink()
    assert not train_teacher(workspace)
    assert distill(workspace, "kd", 0)


def test_extract__imports_a_teacher_that_needs_no_training(
    tmp_path: Path, make_workspace: MakeWorkspace, save: Save
) -> None:
    path = save(network_of(make_workspace(tmp_path / "work")))
    workspace = make_workspace(tmp_path / "work", f"teacher.weights={path}")
    assert extract(workspace).num_failed == 0
    assert (workspace.teacher_folder / "summary.json").exists()
    other = network_of(workspace)
    with torch.no_grad():
        other.backbone.logits.conv3d.bias.add_(1)
    save(other)
    with pytest.raises(UsageError, match="finished run with other settings"):
        distill(workspace, "kd", 0)


def test_train_teacher__another_number_of_classes(
    tmp_path: Path, make_workspace: MakeWorkspace, save: Save
) -> None:
    original = network_of(make_workspace(tmp_path / "work"), num_classes=400)
    path = save(original)
    workspace = make_workspace(tmp_path / "work", f"teacher.weights={path}")
    with pytest.raises(CheckpointError, match=r"400, 64, 1, 1, 1.*classifier: replace"):
        train_teacher(workspace)
    assert not workspace.teacher_folder.exists()
    weights = f"{{file: {path}, classifier: replace}}"
    workspace = make_workspace(
        tmp_path / "work",
        f"teacher.weights={weights}",
        "teacher.training.optimiser={kind: sgd, learning_rate: 1.0e-12}",
        "student.training.optimiser={kind: sgd, learning_rate: 1.0e-12}",
    )
    with pytest.raises(CheckpointError, match="is not a file; expected a network saved"):
        FrozenTeacher(workspace)
    assert train_teacher(workspace)
    card, trained = load_network(workspace.teacher_folder / "model.safetensors")
    assert card.origin is None
    kernel = "backbone.Mixed_4b.b1b.conv3d.weight"
    torch.testing.assert_close(trained.state_dict()[kernel], original.state_dict()[kernel])
    record = json.loads((workspace.teacher_folder / "initial_weights.json").read_text())
    assert record["replaced"] == ["backbone.logits.conv3d.weight", "backbone.logits.conv3d.bias"]


def test_train_teacher__a_wrong_file_leaves_nothing(
    tmp_path: Path, make_workspace: MakeWorkspace, save: Save
) -> None:
    original = network_of(make_workspace(tmp_path / "work"))
    path = save(original, **{"Mixed_3b.extra.weight": torch.zeros(1)})
    workspace = make_workspace(tmp_path / "work", f"teacher.weights={path}")
    with pytest.raises(CheckpointError, match=r"unexpected: Mixed_3b\.extra\.weight"):
        extract(workspace)
    assert not workspace.teacher_folder.exists()
    missing = make_workspace(tmp_path / "work", "teacher.weights=nowhere.pt")
    with pytest.raises(CheckpointError, match=r"nowhere\.pt is neither a file"):
        extract(missing)


def test_distill__student_starts_from_a_file_or_from_the_teacher(
    extracted: Path, tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    still = "student.training.optimiser={kind: sgd, learning_rate: 1.0e-12}"
    begin = (still, "student.model.name=top_i3d", f"data.manifest={extracted}/data/manifest.csv")
    workspace = make_workspace(extracted, *begin, "student.init_from_teacher=true")
    other = Workspace(workspace.recipe.model_copy(update={"workdir": tmp_path / "own"}))
    (tmp_path / "own").mkdir()
    for folder in ("teacher", "cache"):
        (tmp_path / "own" / folder).symlink_to(extracted / folder)
    assert distill(other, "none", 0)
    given = FrozenTeacher(other).network.state_dict()
    folder = other.student_folder("none", 0)
    _, student = load_network(folder / "model.safetensors")
    stem = "backbone.Conv3d_1a_7x7.conv3d.weight"
    expected = given[stem].sum(dim=2, keepdim=True)
    torch.testing.assert_close(student.state_dict()[stem], expected)
    layers = json.loads((folder / "initial_weights.json").read_text())["layers"]
    assert {layer["how"] for layer in layers} == {"copied", "collapsed"}
    # Another beginning is another run.
    fresh = Workspace(
        other.recipe.model_copy(
            update={"student": other.recipe.student.model_copy(update={"init_from_teacher": False})}
        )
    )
    with pytest.raises(UsageError, match="other settings"):
        distill(fresh, "none", 0)
    (swept,) = sweep(other, vary(["none"], [1], {}))
    assert swept.state == "trained"
    assert (swept.folder / "initial_weights.json").exists()


@pytest.mark.parametrize("classifier", ["keep", "replace"])
@pytest.mark.parametrize("part", ["attention_head", "projector"])
def test_student__what_a_distiller_gives_it_is_not_asked_of_the_file(
    tmp_path: Path,
    make_workspace: MakeWorkspace,
    save: Save,
    part: str,
    classifier: Literal["keep", "replace"],
) -> None:
    workspace = make_workspace(tmp_path / "work")
    original = network_of(workspace)
    section = WeightsSection(file=save(original), classifier=classifier)
    given: dict[str, object] = {
        "attention_head": {"attention_head": "paper"},
        "projector": {"reused_classifier": ReusedClassifierSpec(channels=48)},
    }[part]
    card = NetworkCard(
        model=workspace.recipe.teacher.model.model_copy(update=given),
        classes=workspace.manifest.header.classes,
        num_frames=16,
        preprocess=workspace.recipe.teacher.preprocess,
    )
    network = card.build()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    # A teacher would be used with a random one.
    with pytest.raises(CheckpointError, match=rf"missing: {part}\."):
        WeightsOfFile(section, card).load(network)
    record = WeightsOfFile(section, card, is_student=True).load(network)
    anew = {name for name in before if name.startswith(f"{part}.")}
    assert anew
    if classifier == "replace" or part == "projector":
        anew |= set(network.classifier_names())
    assert record["replaced"] == [name for name in before if name in anew]
    theirs = original.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] if name in anew else theirs[name]), name


def test_names_unknown_to__half_an_attention_head_is_no_head_of_others(
    tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    recipe = make_workspace(tmp_path / "work").recipe
    model = recipe.teacher.model.model_copy(update={"attention_head": "paper"})
    network = VideoClassifier(model, 2, (3, 16, 32, 32))
    head = [name for name in network.state_dict() if name.startswith("attention_head.")]
    assert network.names_unknown_to(()) == tuple(head)
    assert network.names_unknown_to(head[:1]) == ()


def test_recipe__weights_and_init() -> None:
    recipe = load_recipe("demo", ["teacher.weights=a/b.pt"])
    assert recipe.teacher.weights is not None
    assert (str(recipe.teacher.weights.file), recipe.teacher.weights.classifier) == (
        "a/b.pt",
        "keep",
    )
    assert "file: a/b.pt" in dump_recipe(recipe)
    both = ["student.weights=a.pt", "student.init_from_teacher=true"]
    with pytest.raises(RecipeError, match="expected one of them"):
        load_recipe("demo", both)
    with pytest.raises(RecipeError, match=r"student\.model\.config is missing"):
        load_recipe("demo", ["student.model={name: huggingface}"])


@NEEDS_TRANSFORMERS
def test_videomae__as_teacher_for_distillers(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    from transformers import AutoConfig, AutoModelForVideoClassification

    folder = tmp_path / "videomae"
    torch.manual_seed(0)
    config = AutoConfig.for_model(**VIDEOMAE, num_labels=3)
    AutoModelForVideoClassification.from_config(config).save_pretrained(folder)
    preprocessor = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    layers = {"Mixed_4f": "videomae.encoder.layer.0", "Mixed_5c": "videomae.encoder.layer.1"}
    model = {"name": "huggingface", "config": str(folder), "layers": layers}
    distillers = {
        "kd": {"kind": "kd"},
        "at": {"kind": "at", "layers": ["Mixed_4f", "Mixed_5c"]},
        "vkd": {"kind": "vkd"},
        "wkd": {"kind": "wkd", "projector": "linear"},
        "generative": {"kind": "generative"},
    }
    settings = (
        f"teacher.model={json.dumps(model)}",
        f"teacher.weights={folder}",
        f"distillers={json.dumps(distillers)}",
        "student.preprocess.size=64",
        "student.model.width=0.03125",
    )
    workspace = make_workspace(tmp_path / "work", *settings)
    with pytest.raises(UsageError, match=r"preprocess\.mean is .*preprocessor_config\.json says"):
        extract(workspace)
    normalised = (
        "teacher.preprocess.mean=[0.485, 0.456, 0.406]",
        "teacher.preprocess.std=[0.229, 0.224, 0.225]",
    )
    workspace = make_workspace(tmp_path / "work", *settings, *normalised)
    summary = extract(workspace)
    assert summary.num_failed == 0
    teacher = FrozenTeacher(workspace)
    assert teacher.classifier() is None
    with FolderStore.open(workspace.cache_path) as store:
        arrays = {a.name: a.shape for layer in store.layers().values() for a in layer.arrays}
        fingerprint = store.layers()["teacher"].fingerprint
    assert arrays["features/Mixed_5c.full"] == (32, 8, 2, 2)
    assert arrays["features/Mixed_4f.spatial_attention"] == (8, 2, 2)
    assert fingerprint["teacher.config.hidden_size"] == 32
    assert fingerprint["teacher.layers.Mixed_5c"] == "videomae.encoder.layer.1"
    assert str(fingerprint["teacher.library"]).startswith("transformers ")
    represent(workspace)
    for name in distillers:
        assert distill(workspace, name, 0), name
    # The card holds the configuration: the folder is not needed any more.
    card, _ = load_network(workspace.teacher_folder / "model.safetensors")
    assert card.model.name == "huggingface"
    (folder / "config.json").unlink()
    load_network(workspace.teacher_folder / "model.safetensors")


@NEEDS_TRANSFORMERS
def test_videomae__as_student(
    extracted: Path, tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    model = {
        "name": "huggingface",
        "config": VIDEOMAE,
        "layers": {"Mixed_5c": "videomae.encoder.layer.1"},
    }
    distillers = {"kd": {"kind": "kd"}, "generative": {"kind": "generative"}}
    settings = (
        f"student.model={json.dumps(model)}",
        f"distillers={json.dumps(distillers)}",
    )
    for folder in ("teacher", "cache", "data"):
        (tmp_path / folder).symlink_to(extracted / folder)
    workspace = make_workspace(tmp_path, *settings)
    assert distill(workspace, "kd", 0)
    folder = workspace.student_folder("kd", 0)
    assert evaluate_run(workspace, folder).num_videos == 6
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["model"] == "huggingface"
    assert summary["parameters"] > 10_000
    assert summary["gmac"] > 0
    with pytest.raises(UsageError, match="'generative' gives the student: attention head"):
        distill(workspace, "generative", 0)


class SmallNet(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(3, 6, 4, 4), nn.ReLU())
        self.head = nn.Linear(6, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(clips).mean(dim=(2, 3, 4)))
        return logits


def small_net(num_classes: int) -> nn.Module:
    return SmallNet(num_classes)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("installed_zoo")
    monkeypatch.setattr(small_net, "__module__", "installed_zoo")
    module.small_net = small_net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "installed_zoo", module)
    return "installed_zoo:small_net"


def factory(target: str, **more: object) -> str:
    settings = {"name": "factory", "target": target, "layers": {"Mixed_5c": "body"}, **more}
    return json.dumps(settings)


def test_factory__trained_here_as_teacher(
    tmp_path: Path, make_workspace: MakeWorkspace, zoo: str
) -> None:
    model = factory(zoo, classifier="head", classifier_reads_mean=True)
    workspace = make_workspace(
        tmp_path, f"teacher.model={model}", "distillers={fn: {kind: fn}, at: {kind: at}}",
        "distillers.at.layers=[Mixed_5c]",
    )  # fmt: skip
    assert train_teacher(workspace)
    extract(workspace)
    assert distill(workspace, "fn", 0)
    assert distill(workspace, "at", 0)
    model = factory(zoo, classifier="head")
    unread = make_workspace(
        tmp_path / "unread", f"teacher.model={model}", "distillers={fn: {kind: fn}}"
    )
    train_teacher(unread)
    with pytest.raises(ModelError, match="does not read the mean of a map"):
        extract(unread)
    # A cache of one is none of the other.
    mixed = make_workspace(tmp_path, f"teacher.model={model}", "distillers={at: {kind: at}}")
    with pytest.raises((FingerprintError, UsageError)):
        distill(mixed, "fn" if "fn" in mixed.recipe.distillers else "at", 0)


def test_factory__a_file_cannot_have_code_called(
    tmp_path: Path, make_workspace: MakeWorkspace, zoo: str
) -> None:
    workspace = make_workspace(tmp_path, f"teacher.model={factory(zoo)}")
    train_teacher(workspace)
    path = workspace.teacher_folder / "model.safetensors"
    card, _ = load_network(path, factories=[zoo])
    assert isinstance(card, NetworkCard)
    with pytest.raises(CheckpointError, match="'installed_zoo:small_net', which no network"):
        load_network(path)
