"""Packages of the extra ``[hub]``, imported where they are needed."""

from importlib import import_module, metadata
from types import ModuleType

from featkd.errors import ModelError


def import_package(name: str) -> ModuleType:
    """Import a package of the extra.

    Args:
        name: of a module.

    Raises:
        ModelError: it is missing, or cannot be imported beside this torch.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        raise ModelError(
            f"{package} cannot be imported ({error}); install it for this torch, it is part of "
            "featkd's extra [hub]"
        ) from error


def version_of(package: str) -> str:
    """Name and version of an installed package, ``transformers 5.24.0``."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
