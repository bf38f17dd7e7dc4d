"""The templates that pages are made of."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Templates of this package: HTML is escaped, an unknown name is an error."""
    return Environment(
        loader=PackageLoader("featkd.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
