"""A trained detector and videos that belong to no manifest."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from featkd.detection.checkpoint import DetectorCard, load_detector
from featkd.detection.inference import InferenceSpec
from featkd.detection.sampling import sampled_frames
from featkd.detection.whole_video import TrainedDetector
from featkd.detection.windows import WindowSpec
from featkd.errors import UsageError
from featkd.experiment.detection.evaluate import WEIGHTS
from featkd.models import place
from featkd.recipes import DetectionRecipe, load_any_recipe
from featkd.types import Clip
from featkd.video import probe

_RECIPE = "recipe.yaml"


def open_detector(run: Path, device: torch.device) -> tuple[TrainedDetector, InferenceSpec]:
    """A trained detector, and how it finds segments in whole videos.

    Args:
        run: a run folder, or the file of its weights. Its recipe says how videos are cut; where
            there is none, windows overlap by half, as AFSD has it.
        device: where it will compute.

    Raises:
        CheckpointError: missing, damaged, or not a detector that featkd saved.
        RecipeError: the run's recipe is damaged or not one for detection.
        UsageError: the detector sees optical flow.
    """
    weights = run / WEIGHTS if run.is_dir() else run
    card, network = load_detector(weights)
    if card.preprocess.modality != "rgb":
        raise UsageError(
            f"{weights} sees {card.preprocess.modality}, which video files do not hold; expected "
            "a detector that sees rgb, or 'featkd evaluate' on a manifest with data.flow"
        )
    detector = TrainedDetector(card, place(network, device), device)
    return detector, _inference(weights.parent / _RECIPE, card)


def clips_of_files(paths: Sequence[Path], card: DetectorCard) -> list[Clip]:
    """Whole videos as clips named like their files.

    Every file is decoded once to count its frames.

    Raises:
        UsageError: two files have the same name, or a video is shorter than a sample or has fewer
            frames per second than the detector sees.
        VideoError: a file is no video, or no frame of it decodes.
    """
    [(name, count)] = Counter(path.stem for path in paths).most_common(1)
    if count > 1:
        raise UsageError(
            f"{count} videos are called {name!r}; expected names that tell them apart, since "
            "predictions are listed by them"
        )
    return [_clip(path, card) for path in paths]


def _clip(path: Path, card: DetectorCard) -> Clip:
    info = probe(path)
    try:
        num_sampled = len(sampled_frames(info.num_frames, info.fps, card.sample_fps))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    if num_sampled == 0:
        raise UsageError(
            f"{path} has {info.num_frames} frames at {info.fps:g} per second; expected at least "
            f"one sampled frame, which lasts {1 / card.sample_fps:g} s"
        )
    return Clip(
        video_id=path.stem,
        path=path,
        label=0,
        num_frames=info.num_frames,
        width=info.width,
        height=info.height,
        fps=info.fps,
    )


def _inference(recipe_path: Path, card: DetectorCard) -> InferenceSpec:
    if not recipe_path.is_file():
        half = max(1, card.num_frames // 2)
        return InferenceSpec(windows=WindowSpec(num_frames=card.num_frames, inference_stride=half))
    recipe = load_any_recipe(recipe_path)
    if not isinstance(recipe, DetectionRecipe):
        raise UsageError(f"{recipe_path} is no recipe for detection; expected the detector's own")
    return recipe.inference_spec()
