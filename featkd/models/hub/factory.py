"""Models that a function of the user's own installation builds."""

import inspect
from importlib import import_module

from torch import nn

from featkd.errors import ModelError
from featkd.models.hub.hub_model import HubModel
from featkd.models.hub.spec import FactorySpec


def build_factory(spec: FactorySpec, num_classes: int) -> HubModel:
    """Call the function and describe what it gives.

    The function is imported by name; nothing else is executed. It must be written for this: be
    defined in the module that is named, and have a parameter ``num_classes``.

    Raises:
        ModelError: it cannot be imported, is no such function, fails, or gives no module.
    """
    module_name, _, function_name = spec.target.partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"factory {spec.target!r} cannot be imported: {error}; expected a function of an "
            "installed package"
        ) from error
    is_own = inspect.isfunction(function) and function.__module__ == module_name
    if not is_own or "num_classes" not in inspect.signature(function).parameters:
        raise ModelError(
            f"factory {spec.target!r} is no function of {module_name} with a parameter "
            "num_classes; expected one that builds a model"
        )
    try:
        network = function(num_classes=num_classes, **spec.arguments)
    except TypeError as error:
        raise ModelError(f"factory {spec.target!r} refuses its arguments: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"factory {spec.target!r} gives {type(network).__name__}; expected a torch module"
        )
    return HubModel(
        network=network,
        input_layout=spec.input_layout,
        fold=spec.fold,
        classifier=spec.classifier,
        reads_mean=spec.classifier_reads_mean,
    )
