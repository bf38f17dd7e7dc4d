"""The methods a recipe can name."""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Discriminator, Tag

from featkd.distillers.at import AT, ATConfig
from featkd.distillers.base import Distiller, DistillerConfig
from featkd.distillers.collaborative import Collaborative, CollaborativeConfig
from featkd.distillers.ctkd import CTKD, CTKDConfig
from featkd.distillers.dist import DIST, DISTConfig
from featkd.distillers.dkd import DKD, DKDConfig
from featkd.distillers.fitnets import FitNets, FitNetsConfig
from featkd.distillers.fn import FN, FNConfig
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.kd import KD, KDConfig
from featkd.distillers.lskd import LSKD, LSKDConfig
from featkd.distillers.mgd import MGD, MGDConfig
from featkd.distillers.none import StudentAlone, StudentAloneConfig
from featkd.distillers.shapes import Shapes
from featkd.distillers.simkd import SimKD, SimKDConfig
from featkd.distillers.srd import SRD, SRDConfig
from featkd.distillers.ttm import TTM, TTMConfig
from featkd.distillers.vkd import VkD, VkDConfig
from featkd.distillers.wkd import WKD, WKDConfig
from featkd.distillers.wkd_logit import WKDLogit, WKDLogitConfig
from featkd.distillers.wttm import WTTM, WTTMConfig


class Entry(NamedTuple):
    """A distiller and its settings."""

    config: type[DistillerConfig]
    distiller: Callable[[Any, Shapes], Distiller[Any]]


DISTILLERS: Mapping[str, Entry] = {
    entry.config.name(): entry
    for entry in (
        Entry(StudentAloneConfig, StudentAlone),
        Entry(KDConfig, KD),
        Entry(CTKDConfig, CTKD),
        Entry(DKDConfig, DKD),
        Entry(LSKDConfig, LSKD),
        Entry(DISTConfig, DIST),
        Entry(TTMConfig, TTM),
        Entry(WTTMConfig, WTTM),
        Entry(WKDLogitConfig, WKDLogit),
        Entry(ATConfig, AT),
        Entry(CollaborativeConfig, Collaborative),
        Entry(FitNetsConfig, FitNets),
        Entry(FNConfig, FN),
        Entry(MGDConfig, MGD),
        Entry(SimKDConfig, SimKD),
        Entry(SRDConfig, SRD),
        Entry(VkDConfig, VkD),
        Entry(WKDConfig, WKD),
        Entry(GenerativeConfig, Generative),
    )
}
"""Every single method by its name."""


def any_of(configs: Iterable[type[DistillerConfig]]) -> Any:
    """The type of settings of any of some distillers, told apart by ``kind``, aliases included."""
    by_name = {config.name(): config for config in configs}
    names = {alias: name for name, config in by_name.items() for alias in (name, *config.aliases)}

    def name_of(settings: object) -> str | None:
        if isinstance(settings, dict):
            kind = settings.get("kind")
        else:
            kind = getattr(settings, "kind", None)
        return names.get(kind) if isinstance(kind, str) else None

    discriminator = Discriminator(
        name_of,
        custom_error_type="unknown_distiller",
        custom_error_message=f"no distiller has that kind; expected one of {', '.join(names)}",
    )
    members: Any = (Annotated[config, Tag(name)] for name, config in by_name.items())
    return Annotated[reduce(or_, members), discriminator]


if TYPE_CHECKING:
    MethodSpec = DistillerConfig
else:
    MethodSpec = any_of(entry.config for entry in DISTILLERS.values())
"""Settings of any single method."""


def build_method(config: DistillerConfig, shapes: Shapes) -> Distiller[Any]:
    """Build the distiller of a single method; raises as `build_distiller`."""
    return DISTILLERS[config.kind].distiller(config, shapes)
