"""How the pages of featkd are rendered: templates of this folder, every value escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def build_environment() -> Environment:
    """An environment that finds the templates and fails at names they lack."""
    return Environment(
        loader=PackageLoader("featkd.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
