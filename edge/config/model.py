"""`[model]` and `[cameras.NAME.model]`: which bundle looks, and how it runs."""

from typing import Annotated, Literal

from pydantic import Field

from edge.config.fields import LocalPath, Section

__all__ = ["ModelConfig"]

Provider = Literal["cpu", "xnnpack", "openvino", "cuda", "tensorrt"]


class ModelConfig(Section):
    """A bundle and its session: `[model]` is shared by all cameras but those with a model of their own."""

    bundle: LocalPath
    keys: Annotated[tuple[LocalPath, ...], Field(max_length=16)] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    providers: Annotated[tuple[Provider, ...], Field(min_length=1, max_length=8)] | None = None
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    precision: Literal["model", "half"] = "model"
    device: Annotated[int, Field(ge=0, le=63)] = 0
    low_memory: bool = False
    tuned: bool = True
