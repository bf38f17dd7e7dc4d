"""Compares a manifest with the descriptor of its dataset."""

from collections import Counter
from collections.abc import Iterator, Mapping

from featkd.manifest.annotations import Annotations
from featkd.manifest.descriptor import DatasetDescriptor
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem


def check_descriptor(
    manifest: Manifest, descriptor: DatasetDescriptor, annotations: Annotations | None = None
) -> list[Problem]:
    """Check classes and counts against what is known of the dataset; no file is touched.

    Errors: a class that the dataset does not have, or classes in another order, so that labels
    mean something else. Warnings: some of the classes left out, so that labels are shifted; more or
    fewer rows, or segments, in a split than the fold has. Counts are compared only where the
    header's protocol is that of a fold.

    Args:
        manifest: what to check.
        descriptor: its dataset.
        annotations: its segments, where it has any.
    """
    problems = list(_classes(manifest.header.classes, descriptor))
    fold = descriptor.fold_of(manifest.header.protocol)
    if fold is None:
        return problems
    splits = manifest.select(["video_id", "split"])
    num_rows = Counter(splits["split"])
    problems += _counts(num_rows, descriptor.folds[fold], "rows", descriptor.dataset, fold)
    if annotations is not None:
        split_of_video = dict(zip(splits["video_id"], splits["split"], strict=True))
        num_segments = Counter(
            split_of_video[video]
            for video in annotations.table["video_id"]
            if video in split_of_video
        )
        expected = descriptor.num_segments
        problems += _counts(num_segments, expected, "segments", descriptor.dataset, fold)
    return problems


def _classes(classes: tuple[str, ...], descriptor: DatasetDescriptor) -> Iterator[Problem]:
    known = {name: label for label, name in enumerate(descriptor.classes)}
    for name in classes:
        if name not in known:
            message = (
                f"class {name!r} is none of the {len(known)} classes of {descriptor.dataset}; "
                "expected its official classes alone"
            )
            yield Problem("error", None, None, "classes", name, "an official class", message)
    labels = [known[name] for name in classes if name in known]
    if labels != sorted(labels):
        message = (
            f"classes are not in the order of {descriptor.dataset}: labels mean something else "
            f"than its own; expected {descriptor.classes[0]!r} first and so on"
        )
        yield Problem("error", None, None, "classes", classes[0], "the official order", message)
    elif labels != list(range(len(labels))):
        message = (
            f"{len(labels)} of the {len(known)} classes of {descriptor.dataset} are listed, and "
            "labels are not its own; expected all, or the first of them"
        )
        yield Problem("warning", None, None, "classes", str(len(labels)), str(len(known)), message)


def _counts(
    found: Mapping[str, int], expected: Mapping[str, int], what: str, dataset: str, fold: str
) -> Iterator[Problem]:
    for split, count in expected.items():
        if found.get(split, 0) != count:
            message = (
                f"split {split!r} has {found.get(split, 0)} {what}; expected {count}, as fold "
                f"{fold} of {dataset} has"
            )
            yield Problem(
                "warning", None, None, "split", str(found.get(split, 0)), str(count), message
            )
