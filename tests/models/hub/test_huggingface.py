"""Video classifiers of transformers with random weights."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from featkd.errors import ModelError
from featkd.models import HubClassifier, HubSpec, PreprocessSpec, Teacher
from featkd.types import TapSpec

Build = Callable[..., HubClassifier]
ReadSpec = Callable[..., HubSpec]
NUM_CLASSES = 5
SHAPE = (3, 8, 32, 32)
NEEDS_TRANSFORMERS = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: extra [hub]",
)
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip
CONFIGS: dict[str, dict[str, object]] = {
    "videomae": {
        **SMALL, "image_size": 32, "patch_size": 16, "num_frames": 8, "tubelet_size": 2,
    },
    "timesformer": {**SMALL, "image_size": 32, "patch_size": 16, "num_frames": 8},
    "vivit": {**SMALL, "image_size": 32, "tubelet_size": [2, 16, 16], "num_frames": 8},
    "vjepa2": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2.0,
        "crop_size": 32, "patch_size": 16, "frames_per_clip": 8, "tubelet_size": 2,
        "num_pooler_layers": 1, "pred_hidden_size": 32, "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
}  # fmt: skip
EMBEDDINGS = {
    "videomae": "videomae.embeddings",
    "timesformer": "timesformer.embeddings",
    "vivit": "vivit.embeddings",
    "vjepa2": "vjepa2.encoder.embeddings",
}
LAST = {
    "videomae": "videomae.encoder.layer.1",
    "timesformer": "timesformer.encoder.layer.1",
    "vivit": "vivit.layers.1",
    "vjepa2": "vjepa2.encoder.layer.1",
}


@NEEDS_TRANSFORMERS
@pytest.mark.parametrize("model_type", CONFIGS)
def test_huggingface__logits_and_maps(model_type: str, build: Build, clips: Tensor) -> None:
    network = build(
        ("Mixed_5c",),
        name="huggingface",
        config={"model_type": model_type, **CONFIGS[model_type]},
        layers={"Mixed_5c": LAST[model_type], "stem": EMBEDDINGS[model_type]},
    )
    time = 8 if model_type == "timesformer" else 4
    assert network.layer_shapes["Mixed_5c"] == (32, time, 2, 2)
    with torch.no_grad():
        output = network(clips)
    assert output.logits.shape == (2, NUM_CLASSES)
    assert output.features["Mixed_5c"].shape == (2, 32, time, 2, 2)
    assert output.classifier is None
    name = "pixel_values_videos" if model_type == "vjepa2" else "pixel_values"
    with torch.no_grad():
        direct = network.backbone.model(**{name: clips.transpose(1, 2)}).logits
    torch.testing.assert_close(output.logits, direct)


@NEEDS_TRANSFORMERS
@pytest.mark.parametrize("model_type", CONFIGS)
def test_huggingface__a_token_stands_where_its_pixels_are(
    model_type: str, build: Build, clips: Tensor
) -> None:
    network = build(
        ("stem",),
        name="huggingface",
        config={"model_type": model_type, **CONFIGS[model_type]},
        layers={"stem": EMBEDDINGS[model_type]},
    )
    time = 8 if model_type == "timesformer" else 4
    still = clips[:1]
    with torch.no_grad():
        before = network(still).features["stem"]
        for t, h, w in ((0, 0, 1), (2, 1, 0), (3, 1, 1)):
            changed = still.clone()
            frame = t * 8 // time
            changed[:, :, frame, 16 * h : 16 * h + 16, 16 * w : 16 * w + 16] += 1
            moved = (network(changed).features["stem"] - before).abs().amax(dim=1)[0] > 1e-6
            assert moved.nonzero().tolist() == [[t, h, w]]


@NEEDS_TRANSFORMERS
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"num_frames": 16}, "num_frames is 16 and views", id="frames"),
        pytest.param({"image_size": 64}, "image_size is 64 and preprocess.size 32", id="size"),
        pytest.param({"hidden_size": 33}, "cannot build", id="config"),
        pytest.param({"hidden_size": "wide"}, "is refused by transformers", id="no number"),
        pytest.param({"model_type": "bert"}, "'bert', whose tokens", id="no video model"),
        pytest.param({"model_type": None}, "no model_type", id="no type"),
    ],
)
def test_huggingface__wrong_configuration(
    settings: dict[str, object], words: str, build: Build
) -> None:
    with pytest.raises(ModelError, match=words):
        build(
            name="huggingface",
            config={"model_type": "videomae", **CONFIGS["videomae"], **settings},
        )


@NEEDS_TRANSFORMERS
def test_huggingface__layers_must_be_declared_and_fold(build: Build) -> None:
    config = {"model_type": "videomae", **CONFIGS["videomae"]}
    with pytest.raises(
        ModelError, match=r"'Mixed_5c' is asked for and model\.layers declares none"
    ):
        build(("Mixed_5c",), name="huggingface", config=config)
    with pytest.raises(
        ModelError, match=r"layers\.last is 'encoder', which is no module.*layer\.1"
    ):
        build(name="huggingface", config=config, layers={"last": "encoder"})
    with pytest.raises(ModelError, match=r"'fc_norm' gives a tensor of shape \(1, 32\)"):
        build(name="huggingface", config=config, layers={"last": "fc_norm"})
    with pytest.raises(ModelError, match="the name is taken"):
        build(name="huggingface", config=config, layers={"model": "fc_norm"})


@NEEDS_TRANSFORMERS
def test_huggingface__as_a_teacher(build: Build) -> None:
    config = {"model_type": "timesformer", **CONFIGS["timesformer"]}
    layers = {"last": LAST["timesformer"]}
    network = build(name="huggingface", config=config, layers=layers)
    taps = [TapSpec("last", r) for r in ("full", "pooled", "moments", "spatial_attention")]  # type: ignore[arg-type]
    teacher = Teacher(
        network.backbone, PreprocessSpec(size=32), taps, batch_size=3, device=torch.device("cpu")
    )
    shown = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8)
    logits, features = teacher(shown)
    assert logits.shape == (4, NUM_CLASSES)
    assert features["last.full"].shape == (4, 32, 8, 2, 2)
    assert features["last.pooled"].shape == (4, 32)
    assert features["last.spatial_attention"].shape == (4, 8, 2, 2)
    again, _ = teacher(shown[1:2])
    assert torch.equal(again[0], logits[1])
    assert teacher.answer_shapes(8) == {
        "logits": (NUM_CLASSES,),
        **{f"features/{key}": tuple(value.shape[1:]) for key, value in features.items()},
    }


def test_spec__configuration_keeps_nothing_that_executes(spec_of: ReadSpec) -> None:
    spec = spec_of(
        name="huggingface",
        config={
            "model_type": "videomae", "hidden_size": 32, "auto_map": {"AutoModel": "evil.Model"},
            "_attn_implementation": "somebody/kernels", "attn_implementation": "somebody/kernels",
            "quantization_config": {}, "num_labels": 400, "id2label": {"0": "a"},
        },
    )  # fmt: skip
    assert spec.model_dump()["config"] == {"model_type": "videomae", "hidden_size": 32}
    described = spec.described()
    assert described["config.hidden_size"] == 32
    assert str(described["library"]).startswith("transformers")
