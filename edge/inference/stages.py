"""A model on a frame: prepare, infer, decode, each timed."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.session import Session, SessionOptions
from edge.prepare import Placement, prepare
from edge.results import Result, decode

__all__ = ["Prepared", "Stage", "Timing", "prepare_for"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent on one frame."""

    pre_ms: float
    infer_ms: float
    post_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame as one bundle's model takes it: uint8 [1, height, width, 3] RGB, where it came from, and what that took."""

    tensor: NDArray[np.uint8]
    placement: Placement
    pre_ms: float
    bundle: Bundle


def prepare_for(bundle: Bundle, image: Image) -> tuple[NDArray[np.uint8], Placement]:
    """`edge.prepare.prepare` with the settings of a bundle's manifest."""
    spec = bundle.manifest.input
    return prepare(
        image,
        height=spec.height,
        width=spec.width,
        resize=spec.resize,
        interpolation=spec.interpolation,
        crop_ratio=spec.crop_ratio,
    )


class Stage:
    """A bundle, loaded and ready to look at frames.

    `threshold` overrides the manifest's least score; `file` is as `Session` has it.

    Raises:
        SessionError: when the model cannot be loaded here.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: SessionOptions | None = None,
        *,
        threshold: float | None = None,
        file: Path | None = None,
    ) -> None:
        self.bundle = bundle
        self.session = Session(bundle, options, file=file)
        self.threshold = bundle.manifest.thresholds.score if threshold is None else threshold
        self.unsound = 0
        """Frames for which a score was not a number: what decoding leaves out without a word."""

    def prepare(self, image: Image) -> Prepared:
        """The part of the work that any thread may do beforehand."""
        start = time.perf_counter()
        tensor, placement = prepare_for(self.bundle, image)
        return Prepared(tensor[None], placement, (time.perf_counter() - start) * 1e3, self.bundle)

    def __call__(self, image: Image, prepared: Prepared | None = None) -> tuple[Result, Timing]:
        """Image uint8 [H, W, 3] BGR -> its result in pixels of that image, and what it took.

        `prepared` is what `prepare` made of the same image, if that was done already; another model's is not taken.

        Raises:
            SessionError: when the runtime fails.
        """
        ready = prepared if prepared is not None and prepared.bundle is self.bundle else self.prepare(image)
        t1 = time.perf_counter()
        outputs = self.session.infer(ready.tensor)
        t2 = time.perf_counter()
        first = {name: value[0] for name, value in outputs.items()}
        self.unsound += not _are_numbers(first)
        result = decode(self.bundle.manifest.task, first, ready.placement, threshold=self.threshold)
        t3 = time.perf_counter()
        return result, Timing(ready.pre_ms, (t2 - t1) * 1e3, (t3 - t2) * 1e3)


def _are_numbers(outputs: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the scores of what was found are."""
    scores, count = outputs.get("scores"), outputs.get("count")
    # A sum of float32 in Python's floats is finite when each of them is.
    return scores is None or math.isfinite(sum((scores if count is None else scores[: int(count)]).tolist()))
