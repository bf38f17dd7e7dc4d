"""Real human motion as video: the 2-D poses of JHMDB, drawn as stick figures and encoded.

The file of poses (as published with DD-Net, Yang et al., "Make Skeleton-based Action Recognition
Model Smaller, Faster and Better", 2019) holds 609 sequences of 14 of JHMDB's actions (Jhuang et
al., "Towards Understanding Action Recognition", ICCV 2013), 15 joints, y growing downwards.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw

from featkd.synthetic import SyntheticVideo, encode_h264
from featkd.synthetic.claim import claim_folder
from featkd.synthetic.seeding import named_generator
from featkd.types import Progress, Silent, Spec

FPS = 25
CRF = 20
VALIDATION_SHARE = 0.2

_FILLED = 0.78  # of the frame's side, by the longer side of the space the body moves in
_LIMB_WIDTH = 0.045
_HEAD_DIAMETER = 0.12
_SUPERSAMPLING = 3
_NOISE_LEVELS = 6

_NECK, _BELLY, _FACE = 0, 1, 2
_TRUNK, _RIGHT, _LEFT = (230, 230, 230), (240, 120, 50), (70, 170, 250)
# Joints 3 to 14 alternate right and left: shoulders, hips, elbows, knees, wrists, ankles.
_LIMBS = (
    (_NECK, _BELLY, _TRUNK),
    (_NECK, _FACE, _TRUNK),
    (_NECK, 3, _RIGHT),
    (3, 7, _RIGHT),
    (7, 11, _RIGHT),
    (_BELLY, 5, _RIGHT),
    (5, 9, _RIGHT),
    (9, 13, _RIGHT),
    (_NECK, 4, _LEFT),
    (4, 8, _LEFT),
    (8, 12, _LEFT),
    (_BELLY, 6, _LEFT),
    (6, 10, _LEFT),
    (10, 14, _LEFT),
)


@dataclass(frozen=True, slots=True)
class Poses:
    """Sequences of 2-D poses with their labels.

    Attributes:
        joints: (sequence's frames, 15, 2), x to the right and y downwards, one array a sequence.
        labels: index into ``class_names``.
        class_names: names of the actions.
        splits: official split of each sequence in each of the three protocols: 1 train, 2 test.
    """

    joints: tuple[Float[ndarray, "frames 15 2"], ...]
    labels: Int[ndarray, " sequences"]
    class_names: tuple[str, ...]
    splits: Int[ndarray, "sequences 3"]


class PoseVideoSpec(Spec):
    """Everything that decides the pixels and the splits of the drawn dataset."""

    poses_sha256: str
    split_index: int
    size: int
    seed: int


def load_poses(npz_path: Path) -> Poses:
    """Read the file of poses."""
    with np.load(npz_path, allow_pickle=False) as file:
        joints = np.split(file["pose"], file["offsets"][1:-1])
        return Poses(
            joints=tuple(joints),
            labels=file["label"],
            class_names=tuple(str(name) for name in file["label_names"]),
            splits=file["split"].astype(np.int64),
        )


def draw_poses(
    joints: Float[ndarray, "frames 15 2"], size: int, seed: int, sequence_index: int
) -> UInt8[ndarray, "frames {size} {size} 3"]:
    """Draw a sequence as a stick figure on a dark, slightly noisy background.

    One scale and one centre serve the whole sequence, so that motion inside it is kept; a joint
    that is far from all others (an annotation error) may leave the frame.
    """
    rng = named_generator("pose", seed, sequence_index)
    points = joints.reshape(-1, 2)
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    side = size * _SUPERSAMPLING
    pixels = side / 2 + (joints - (low + high) / 2) * (_FILLED * side / (high - low).max())
    background = tuple(int(level) for level in rng.integers(25, 60, size=3))
    video = np.empty((len(joints), size, size, 3), dtype=np.uint8)
    for index, pose in enumerate(pixels):
        image = Image.new("RGB", (side, side), background)
        _draw_body(ImageDraw.Draw(image), pose, side)
        frame = np.asarray(image.reduce(_SUPERSAMPLING), dtype=np.int16)
        noise = rng.integers(-_NOISE_LEVELS, _NOISE_LEVELS + 1, size=frame.shape)
        video[index] = np.clip(frame + noise, 0, 255)
    return video


def render_poses(
    npz_path: Path,
    folder: Path,
    *,
    split_index: int = 0,
    size: int = 96,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SyntheticVideo]:
    """Write every sequence as an H.264 video, keeping those that an earlier run finished.

    Test videos are those of the official split; about a fifth of its training videos, chosen by a
    hash of the sequence's number, become the validation split.

    Args:
        npz_path: the file of poses.
        folder: receives ``spec.json`` and ``videos/<split>/<class>/<video_id>.mp4``.
        split_index: which official split, 0 to 2.
        size: height and width, in pixels.
        seed: of the background and its noise.
        progress: shows the work.

    Returns:
        One record a sequence, in the file's order; its group is the sequence's number.

    Raises:
        UsageError: the folder holds videos made with other settings.
        VideoError: the encoder fails.
    """
    progress = progress or Silent()
    poses = load_poses(npz_path)
    spec = PoseVideoSpec(
        poses_sha256=hashlib.sha256(npz_path.read_bytes()).hexdigest(),
        split_index=split_index,
        size=size,
        seed=seed,
    )
    claim_folder(spec, folder)
    tracked = progress.track(
        range(len(poses.joints)),
        description="Drawing poses",
        total=len(poses.joints),
        unit="videos",
    )
    return [_finish(poses, spec, folder, sequence_index) for sequence_index in tracked]


def _draw_body(brush: ImageDraw.ImageDraw, pose: Float[ndarray, "15 2"], side: int) -> None:
    width = _LIMB_WIDTH * side
    for start, end, colour in _LIMBS:
        (x0, y0), (x1, y1) = pose[start].tolist(), pose[end].tolist()
        brush.line((x0, y0, x1, y1), fill=colour, width=round(width))
        for x, y in ((x0, y0), (x1, y1)):
            _draw_disc(brush, x, y, width, colour)
    x, y = pose[_FACE].tolist()
    _draw_disc(brush, x, y, _HEAD_DIAMETER * side, (250, 220, 120))


def _draw_disc(
    brush: ImageDraw.ImageDraw, x: float, y: float, diameter: float, colour: tuple[int, int, int]
) -> None:
    reach = diameter / 2
    brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


def _split_name(sequence_index: int, official: int) -> str:
    if official == 2:
        return "test"
    digest = hashlib.blake2b(f"validation {sequence_index}".encode(), digest_size=4).digest()
    return "val" if int.from_bytes(digest, "little") < VALIDATION_SHARE * 2**32 else "train"


def _finish(poses: Poses, spec: PoseVideoSpec, folder: Path, sequence_index: int) -> SyntheticVideo:
    """Write one video unless it exists, and describe it."""
    joints = poses.joints[sequence_index]
    label = int(poses.labels[sequence_index])
    class_name = poses.class_names[label]
    split = _split_name(sequence_index, int(poses.splits[sequence_index, spec.split_index]))
    video_id = f"pose_{sequence_index:04d}"
    relative = f"videos/{split}/{class_name}/{video_id}.mp4"
    path = folder / relative
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = draw_poses(joints, spec.size, spec.seed, sequence_index)
        encode_h264(frames, path, fps=FPS, crf=CRF)
    return SyntheticVideo(
        video_id=video_id,
        path=relative,
        label=label,
        class_name=class_name,
        split=split,
        start_sec=0.0,
        end_sec=len(joints) / FPS,
        num_frames=len(joints),
        fps=float(FPS),
        width=spec.size,
        height=spec.size,
        group=str(sequence_index),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
