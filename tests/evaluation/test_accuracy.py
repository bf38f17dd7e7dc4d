import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.errors import UsageError
from featkd.evaluation import average_views, measure_accuracy


def count_slowly(scores, labels, num_classes):
    """The definitions as loops. Ties rank by class index."""
    confusion = [[0] * num_classes for _ in range(num_classes)]
    top1 = top5 = 0
    for row, label in zip(scores, labels, strict=True):
        ranking = sorted(range(num_classes), key=lambda k: (-row[k], k))
        confusion[label][ranking[0]] += 1
        top1 += ranking[0] == label
        top5 += label in ranking[:5]
    per_class = []
    for label in range(num_classes):
        seen = [row for row, true in zip(scores, labels, strict=True) if true == label]
        per_class.append(confusion[label][label] / len(seen) if seen else None)
    present = [share for share in per_class if share is not None]
    return top1 / len(labels), top5 / len(labels), sum(present) / len(present), confusion, per_class


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_measure_accuracy__matches_slow_counting(data):
    num_classes = data.draw(st.integers(1, 9))
    num_videos = data.draw(st.integers(1, 12))
    # Few distinct values, so that ties are common.
    row = st.lists(st.integers(-2, 2), min_size=num_classes, max_size=num_classes)
    scores = data.draw(st.lists(row, min_size=num_videos, max_size=num_videos))
    label = st.integers(0, num_classes - 1)
    labels = data.draw(st.lists(label, min_size=num_videos, max_size=num_videos))

    measured = measure_accuracy(torch.tensor(scores).float(), torch.tensor(labels), num_classes)

    top1, top5, mean_class, confusion, per_class = count_slowly(scores, labels, num_classes)
    assert measured.num_videos == num_videos
    assert measured.top1 == pytest.approx(top1)
    assert measured.top5 == pytest.approx(top5)
    assert measured.mean_class_accuracy == pytest.approx(mean_class)
    assert measured.confusion == confusion
    assert measured.per_class == per_class


def test_measure_accuracy__constant_scores_earn_only_the_first_classes():
    labels = torch.arange(10)

    measured = measure_accuracy(torch.zeros(10, 10), labels, 10)

    assert (measured.top1, measured.top5) == (0.1, 0.5)


def test_measure_accuracy__is_json():
    measured = measure_accuracy(torch.eye(3), torch.tensor([0, 1, 1]), 3)

    read = json.loads(json.dumps(measured.to_json()))

    assert read["confusion"] == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert read["per_class"] == [1.0, 0.5, None]
    assert read["mean_class_accuracy"] == 0.75


@pytest.mark.parametrize(
    ("scores", "labels", "num_classes", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 3, "no videos"),
        (torch.zeros(2, 3), torch.tensor([0, 1]), 4, "3 classes; expected num_classes = 4"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), 3, "hold 3; expected classes 0 to 2"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), 3, "hold -1"),
        (torch.tensor([[0.0, 1], [0, math.nan]]), torch.tensor([0, 1]), 2, "video 1"),
    ],
    ids=["empty", "classes", "label-high", "label-negative", "nan"],
)
def test_measure_accuracy__refuses(scores, labels, num_classes, message):
    with pytest.raises(UsageError, match=message):
        measure_accuracy(scores, labels, num_classes)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_average_views__matches_slow_mean_of_softmax(data):
    num_videos = data.draw(st.integers(1, 4))
    extra = data.draw(st.lists(st.integers(0, num_videos - 1), max_size=6))
    video_index = data.draw(st.permutations([*range(num_videos), *extra]))
    logit = st.floats(-5, 5, width=32)
    row = st.lists(logit, min_size=3, max_size=3)
    logits = data.draw(st.lists(row, min_size=len(video_index), max_size=len(video_index)))

    averaged = average_views(torch.tensor(logits), torch.tensor(video_index))

    for video in range(num_videos):
        views = [row for row, of in zip(logits, video_index, strict=True) if of == video]
        for k in range(3):
            shares = [math.exp(v[k]) / sum(math.exp(x) for x in v) for v in views]
            assert averaged[video, k].item() == pytest.approx(sum(shares) / len(shares), abs=1e-5)


def test_average_views__computes_half_precision_in_float32():
    averaged = average_views(torch.zeros(3, 7, dtype=torch.float16), torch.tensor([0, 1, 0]))

    assert averaged.dtype == torch.float32
    assert torch.allclose(averaged, torch.full((2, 7), 1 / 7))


@pytest.mark.parametrize(
    ("video_index", "message"),
    [([0, 2], "video 1 has no view"), ([0, -1], "holds -1")],
    ids=["gap", "negative"],
)
def test_average_views__refuses(video_index, message):
    with pytest.raises(UsageError, match=message):
        average_views(torch.zeros(2, 3), torch.tensor(video_index))


def test_average_views__refuses_no_views():
    with pytest.raises(UsageError, match="no views"):
        average_views(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
