"""The base of all settings."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Base of every setting a recipe can hold: immutable, and unknown keys fail."""

    model_config = ConfigDict(frozen=True, extra="forbid")
