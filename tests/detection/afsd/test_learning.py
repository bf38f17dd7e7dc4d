import torch

from featkd.detection.afsd import (
    AFSD,
    AFSDSpec,
    ClipAnnotations,
    DetectionLossSpec,
    assign_priors,
    boundary_maps,
    detection_terms,
)
from featkd.detection.afsd.windows import frame_windows
from featkd.detection.boundary_pooling import boundary_max_pool

FRAMES = 32


def draw_clips(count):
    """Noise that brightens (action 1) or darkens (action 2) for 10 to 20 frames."""
    generator = torch.Generator().manual_seed(0)
    clips = 0.1 * torch.randn(count, 3, FRAMES, 32, 32, generator=generator)
    annotations = []
    for index, clip in enumerate(clips):
        start, length = torch.randint(2, 10, (2,), generator=generator).tolist()
        end, label = start + length + 8, 1 + index % 2
        clip[:, start:end] += 1 if label == 1 else -1
        annotations.append(
            ClipAnnotations(torch.tensor([[start, end]]).float(), torch.tensor([label]))
        )
    return clips, annotations


def test_detector__finds_what_it_was_shown():
    torch.manual_seed(0)
    network = AFSD(
        AFSDSpec(width=0.0625, num_levels=3, batch_norm_momentum=0.1), 2, (3, FRAMES, 32, 32)
    )
    clips, annotations = draw_clips(4)
    priors = network.detector.priors
    assignment, maps = (
        assign_priors(priors.centres, annotations),
        boundary_maps(annotations, FRAMES),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    totals = []
    for _ in range(50):
        found = network(clips).detections
        terms = detection_terms(found, assignment, maps, DetectionLossSpec())
        optimiser.zero_grad()
        terms.total.backward()
        optimiser.step()
        totals.append(terms.total.item())
    assert totals[-1] < totals[0] / 2
    found = network(clips).detections
    scores = (
        found.refined_logits.softmax(dim=2)[..., 1:] * found.quality_logits.sigmoid()[..., None]
    )
    segments = priors.segments(found.refined_distances)
    right = 0
    for index, clip in enumerate(annotations):
        prior, label = divmod(scores[index].flatten().argmax().item(), 2)
        start, end = segments[index, prior].tolist()
        ((true_start, true_end),) = clip.segments.tolist()
        overlap = min(end, true_end) - max(start, true_start)
        tiou = overlap / (max(end, true_end) - min(start, true_start))
        right += label + 1 == clip.labels.item() and tiou > 0.5
    assert right >= 3


def test_boundary_pooling__of_a_whole_clip_sees_its_ends():
    feature = torch.arange(FRAMES).float().expand(1, 4, FRAMES)
    windows = frame_windows(torch.tensor([[[0.0, FRAMES - 1.0]]]))
    assert boundary_max_pool(feature, windows)[0, :, 0].tolist() == [8, 8, 31, 31]
