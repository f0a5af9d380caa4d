"""What a runtime is to the session: a model that is loaded, and can be run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Graph", "Model", "Precision", "Runtime", "Settings", "UnavailableError", "first_line"]

Model = bytes | Path
"""An ONNX file's bytes, or where it lies."""

Precision = Literal["model", "half"]
"""What a runtime computes in: the model's own types, or 16-bit floats where the hardware has them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run a model. `threads` is 1 or more; `device` counts GPUs; compiled models are kept in `cache_dir`.

    `low_memory` gives every run's buffers back to the system: less memory, and a slower model.
    """

    threads: int = 1
    precision: Precision = "model"
    device: int = 0
    low_memory: bool = False
    cache_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """What goes in and comes out: for each input its type and shape, where an axis that varies is a name or -1."""

    inputs: Mapping[str, tuple[str, tuple[int | str, ...]]]
    outputs: frozenset[str]


class Runtime(Protocol):
    """A model that is loaded. One thread uses it."""

    name: str
    """Who computes, as events tell it: `CPUExecutionProvider`."""
    graph: Graph

    def run(self, image: NDArray[np.uint8], names: Sequence[str]) -> list[NDArray[Any]]:
        """One picture, uint8 [1, height, width, 3] -> the outputs of these names, each with the batch axis.

        Raises:
            Exception: whatever the runtime's library throws.
        """


class UnavailableError(Exception):
    """This way of running the model is not to be had here; the message says why, in a few words."""


def first_line(error: BaseException) -> str:
    """What an error says, without the stack that some libraries print behind it."""
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
