"""From the maps of a backbone to what a detector says of them."""

from collections.abc import Callable, Mapping
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from featkd.detection.afsd.detector import Detector
from featkd.detection.afsd.output import DetectorOutput
from featkd.representation import attended_feature, attended_feature_inverse_sum

Rescale = Literal["norm", "inverse_sum"]
"""How an attended map regains its scale: per sample (Eq. 10), or not at all, as released."""

Maps = Mapping[str, Float[Tensor, "batch _channels _time _height _width"]]
"""Layer to its map."""

_RESCALE: Mapping[Rescale, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": attended_feature,
    "inverse_sum": attended_feature_inverse_sum,
}


def read_maps(
    features: Maps,
    detector: Detector,
    *,
    attention_heads: nn.ModuleDict,
    projectors: nn.ModuleDict,
    rescale: Rescale,
    with_background: bool = False,
) -> DetectorOutput:
    """Detections, attention and projected maps. The maps may come from a backbone or from a cache.

    Args:
        features: of `DETECTOR_LAYERS`.
        detector: reads projected maps where there are projectors, else attended maps where there
            are attention heads, else the maps as they are.
        attention_heads: by layer; may be empty.
        projectors: by layer; may be empty.
        rescale: of attended maps.
        with_background: whether the output has background logits; they need attention heads.

    Raises:
        ModelError: a map has another spatial size than the modules were built for.
    """
    attention = apply_heads(attention_heads, features)
    projected = apply_heads(projectors, features)
    background_logits = None
    if with_background:
        left_out = {layer: 1 - value for layer, value in attention.items()}
        background_logits = detector.coarse_logits(attended_maps(features, left_out, rescale))
    return DetectorOutput(
        detections=detector(projected or attended_maps(features, attention, rescale)),
        features=features,
        attention=attention,
        projected=projected,
        background_logits=background_logits,
    )


def apply_heads(heads: nn.ModuleDict, features: Maps) -> dict[str, Tensor]:
    """What each head makes of the map of its layer."""
    return {layer: head(features[layer]) for layer, head in heads.items()}


def attended_maps(
    features: Maps, attention: Mapping[str, Tensor], rescale: Rescale
) -> dict[str, Tensor]:
    """Each map weighed by the attention of its layer, as it is where there is none."""
    weigh = _RESCALE[rescale]
    return {
        layer: weigh(feature, attention[layer]) if layer in attention else feature
        for layer, feature in features.items()
    }
