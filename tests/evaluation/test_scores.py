import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.errors import UsageError
from featkd.evaluation import VideoScores, average_by_video, fuse_scores

CLASSES = ("a", "b", "c")


def scores_of(logits, video_ids=None, labels=None, classes=CLASSES):
    """One view a video."""
    values = torch.tensor(logits, dtype=torch.float64)
    return VideoScores(
        classes=classes,
        video_ids=tuple(video_ids or [f"v{i}" for i in range(len(logits))]),
        labels=torch.tensor(labels or [0] * len(logits)),
        probabilities=values.softmax(dim=1),
        logits=values,
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_fuse_scores__matches_a_slow_loop(data):
    num_videos, num_streams = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    row = st.lists(st.floats(-5, 5), min_size=3, max_size=3)
    table = st.lists(row, min_size=num_videos, max_size=num_videos)
    tables = [data.draw(table) for _ in range(num_streams)]
    weights = [data.draw(st.floats(0.1, 5)) for _ in range(num_streams)]
    names = [f"v{i}" for i in range(num_videos)]
    streams = []
    for number, logits in enumerate(tables):
        order = names if number == 0 else data.draw(st.permutations(names))
        streams.append(scores_of([logits[names.index(name)] for name in order], order))

    for kind in ("probabilities", "logits"):
        fused = fuse_scores(streams, weights=weights, kind=kind)
        for video in range(num_videos):
            for k in range(3):
                total = 0.0
                for logits, weight in zip(tables, weights, strict=True):
                    score = logits[video][k]
                    if kind == "probabilities":
                        score = math.exp(score) / sum(math.exp(other) for other in logits[video])
                    total += weight * score
                expected = total / sum(weights)
                assert fused[video, k].item() == pytest.approx(expected, abs=1e-9)


def test_fuse_scores__weights_decide():
    sure, other = scores_of([[9.0, 0, 0]]), scores_of([[0.0, 9, 0]])
    for weights, winner in (((2.0, 1.0), 0), ((1.0, 2.0), 1)):
        assert fuse_scores([sure, other], weights=weights).argmax().item() == winner


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            scores_of([[0.0, 0, 0]] * 2, ["v0", "v2"]),
            "stream 1 has video 'v1' and stream 2 has not",
        ),
        (scores_of([[0.0, 0, 0]]), "stream 1 has video 'v1' and stream 2 has not"),
        (scores_of([[0.0, 0, 0]] * 3), "stream 2 has video 'v2' and stream 1 has not"),
        (scores_of([[0.0, 0, 0]] * 2, labels=[0, 1]), "label of video 'v1' is 0 in stream 1 and 1"),
        (scores_of([[0.0, 0, 0]] * 2, classes=("a", "c", "b")), "stream 2 knows 3 classes"),
    ],
    ids=["other video", "fewer", "more", "label", "classes"],
)
def test_fuse_scores__refuses_other_videos(other, words):
    with pytest.raises(UsageError, match=words):
        fuse_scores([scores_of([[0.0, 0, 0]] * 2), other], weights=[1.0, 1.0])


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_fuse_scores__refuses_weights(weights):
    stream = scores_of([[0.0, 0, 0]])
    with pytest.raises(UsageError, match="weights"):
        fuse_scores([stream, stream], weights=weights)


def test_accuracy__is_that_of_the_probabilities():
    stream = scores_of([[1.0, 0, 0], [0, 1, 0]], labels=[0, 2])
    assert stream.accuracy().top1 == 0.5


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_average_by_video__matches_a_slow_mean(data):
    video_index = data.draw(st.permutations([0, 1, 2, 1, 0, 1]))
    row = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=2)
    values = data.draw(st.lists(row, min_size=6, max_size=6))
    averaged = average_by_video(torch.tensor(values), torch.tensor(video_index))
    for video in range(3):
        rows = [row for row, of in zip(values, video_index, strict=True) if of == video]
        for k in range(2):
            expected = sum(row[k] for row in rows) / len(rows)
            assert averaged[video, k].item() == pytest.approx(expected, abs=1e-5)
