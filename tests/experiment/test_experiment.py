import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors.torch import load_file

from featkd.cache import FolderStore
from featkd.cache.sealed_json import seal, unseal
from featkd.errors import (
    CacheError,
    CacheIncompleteError,
    CheckpointError,
    FingerprintError,
    RequirementError,
    UsageError,
)
from featkd.evaluation import find_runs
from featkd.experiment import (
    Workspace,
    distill,
    evaluate,
    evaluate_run,
    middle_frame_repeated,
    represent,
    taps_to_extract,
    train_teacher,
)
from featkd.extract import extract
from featkd.recipes import load_recipe
from featkd.types import TapSpec

MakeWorkspace = Callable[..., Workspace]
Item = TypeVar("Item")


@pytest.fixture
def work(tmp_path: Path, extracted: Path) -> Path:
    """A copy of the extracted experiment, to be changed."""
    shutil.copytree(extracted, tmp_path / "work")
    return tmp_path / "work"


def test_taps_to_extract__least_set_that_serves_the_distillers(
    tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    def taps(*distillers: str, more: str = "[]") -> list[str]:
        named = ", ".join(f"{name}: {{kind: {name}}}" for name in distillers)
        recipe = load_recipe("demo", [f"distillers={{{named}}}", f"extract.taps={more}"])
        return [tap.key for tap in taps_to_extract(recipe)]

    assert taps("none") == []
    assert taps("none", "kd") == []
    assert taps("kd", "generative") == ["Mixed_5c.full"]
    assert taps("at") == [
        TapSpec(layer, "spatial_attention").key for layer in ("Mixed_3c", "Mixed_4f", "Mixed_5c")
    ]
    assert taps("none", more="[Mixed_4f.pooled]") == ["Mixed_4f.pooled"]


def test_distill__every_method_leaves_a_finished_run(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work)
    assert represent(workspace)
    assert not represent(workspace)
    for name in workspace.recipe.distillers:
        assert distill(workspace, name, 1)
        assert not distill(workspace, name, 1)
        folder = workspace.student_folder(name, 1)
        accuracy = evaluate_run(workspace, folder)
        assert accuracy.num_videos == 6
        files = {path.name for path in folder.iterdir()}
        assert files == {
            "evaluation.json", "metrics.jsonl", "model.safetensors", "recipe.yaml", "summary.json",
        }  # fmt: skip
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    runs = find_runs(work)
    assert {run.summary.name for run in runs if run.summary} >= set(workspace.recipe.distillers)
    plain = json.loads((work / "students" / "kd-seed1" / "summary.json").read_text())
    ours = json.loads((work / "students" / "generative-seed1" / "summary.json").read_text())
    assert ours["parameters"] > plain["parameters"]
    assert ours["gmac"] > plain["gmac"]


@pytest.mark.parametrize("alternation", ["step", "epoch"])
def test_distill__stopped_and_resumed_equals_uninterrupted(
    work: Path, make_workspace: MakeWorkspace, interrupted_after, alternation: str
) -> None:
    setting = f"distillers.generative.alternation={alternation}"
    workspace = make_workspace(work, setting)
    represent(workspace)
    distill(workspace, "generative", 0)
    folder = workspace.student_folder("generative", 0)
    whole = load_file(folder / "model.safetensors")
    shutil.rmtree(folder)
    steps_of_an_epoch = 3 if alternation == "step" else 6
    with interrupted_after(steps_of_an_epoch + 1) as progress:
        distill(workspace, "generative", 0, progress=progress)
    assert not (folder / "summary.json").exists()
    distill(make_workspace(work, setting), "generative", 0)
    resumed = load_file(folder / "model.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_represent__stopped_while_writing_attention_goes_on(
    work: Path, make_workspace: MakeWorkspace, interrupted_after
) -> None:
    workspace = make_workspace(work)
    with interrupted_after(3 + 2) as progress:  # three training steps, two parts of attention
        represent(workspace, progress)
    with FolderStore.open(work / "cache") as store:
        assert store.committed_parts("representation") == {0, 1}
    assert represent(workspace)
    with FolderStore.open(work / "cache") as store:
        attention = store.read_rows("attention/Mixed_5c", range(store.num_rows))
        head_input = store.read_rows("features/Mixed_5c.full", [23])
    assert ((attention > 0) & (attention < 1)).all()
    assert head_input.shape[1:3] == attention.shape[1:]


def test_represent__again_in_a_new_cache(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work)
    represent(workspace)
    with FolderStore.open(work / "cache") as store:
        before = store.read_rows("attention/Mixed_5c", range(store.num_rows))
    shutil.rmtree(work / "cache")
    extract(workspace)
    assert represent(workspace)
    with FolderStore.open(work / "cache") as store:
        assert torch.equal(store.read_rows("attention/Mixed_5c", range(store.num_rows)), before)


def test_distill__what_is_missing_is_named(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work)
    with pytest.raises(RequirementError, match="featkd represent"):
        distill(workspace, "generative", 0)
    with pytest.raises(UsageError, match="'sorcery' is not in recipe 'demo'"):
        distill(workspace, "sorcery", 0)
    (work / "cache" / "commits" / "teacher" / "000003.json").unlink()
    with pytest.raises(CacheIncompleteError, match=r"lacks 1 of 5 parts.*featkd extract"):
        distill(workspace, "kd", 0)
    shutil.rmtree(work / "cache")
    with pytest.raises(CacheError, match="cache"):
        distill(workspace, "kd", 0)
    shutil.rmtree(work / "teacher")
    with pytest.raises(CheckpointError, match="featkd train"):
        distill(workspace, "kd", 0)


def test_distill__a_cache_of_another_seed_is_refused(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    with pytest.raises(FingerprintError, match=r"views\.seed is 0 in the cache, but 7"):
        distill(make_workspace(work, "seed=7"), "kd", 0)


def test_distill__a_finished_run_is_not_overwritten(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    distill(make_workspace(work), "kd", 0)
    with pytest.raises(UsageError, match="other settings"):
        distill(make_workspace(work, "distillers.kd.tau=2.0"), "kd", 0)


def test_train__a_teacher_that_was_brought_along_is_not_overwritten(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(tmp_path)
    (tmp_path / "teacher").mkdir()
    weights = tmp_path / "teacher" / "model.safetensors"
    shutil.copy(extracted / "teacher" / "model.safetensors", weights)
    content = weights.read_bytes()
    with pytest.raises(UsageError, match="was not trained here"):
        train_teacher(workspace)
    assert weights.read_bytes() == content


def test_distill__clips_with_failed_views_are_left_out(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    path = work / "cache" / "commits" / "teacher" / "000000.json"
    commit = unseal(path.read_bytes())
    path.write_bytes(seal(commit | {"failures": {"2": "the file is damaged"}}))
    workspace = make_workspace(work)
    distill(workspace, "kd", 0)
    summary = json.loads((workspace.student_folder("kd", 0) / "summary.json").read_text())
    assert summary["num_clips"] == 11


def test_evaluate__one_frame_repeated_shows_no_motion(
    extracted: Path, make_workspace: MakeWorkspace
) -> None:
    clips = torch.arange(2 * 3 * 5 * 1 * 1, dtype=torch.uint8).view(2, 3, 5, 1, 1)
    still = middle_frame_repeated(clips)
    assert still.shape == clips.shape
    assert (still == clips[:, :, 2:3]).all()
    workspace = make_workspace(extracted)
    weights = extracted / "teacher" / "model.safetensors"
    accuracy = evaluate(workspace, weights, "test", show=middle_frame_repeated)
    assert accuracy.num_videos == 6


def test_distill__on_what_is_committed(
    work: Path, make_workspace: MakeWorkspace, interrupted_after
) -> None:
    """A run on a growing cache keeps the clips it began with, however often it is resumed."""
    workspace = make_workspace(work)
    record = work / "cache" / "commits" / "teacher" / "000002.json"
    record.rename(work / "away.json")
    with pytest.raises(CacheIncompleteError, match="--committed-only"):
        distill(workspace, "kd", 0)
    with interrupted_after(3) as progress:
        # Rows 10 to 14 are missing: both views of clips 5 and 6, and one of clip 7.
        distill(workspace, "kd", 0, committed_only=True, progress=progress)
    (work / "away.json").rename(record)
    assert distill(workspace, "kd", 0, committed_only=True)
    summary = json.loads((workspace.student_folder("kd", 0) / "summary.json").read_text())
    assert summary["num_clips"] == 9
    assert distill(workspace, "kd", 1)
    summary = json.loads((workspace.student_folder("kd", 1) / "summary.json").read_text())
    assert summary["num_clips"] == 12
