"""A bundle's model on the first provider of a list that works here, and why those before it fell away."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.errors import SessionError
from edge.runtimes import RUNTIMES, Model, Precision, Runtime, Settings, UnavailableError, first_line

__all__ = ["Session", "SessionOptions", "available_cores"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to run a model. `threads` 0 means as many as this process may use cores.

    `providers` are tried in this order, the CPU last. `precision`, `device`, `low_memory` and `cache_dir` are those of
    `edge.runtimes.Settings`. Without `warm_up` the run is left out that shows whether a provider works at all, and takes
    what only a first run takes: for makers of models that run seconds a picture.
    """

    providers: tuple[str, ...] = ("cpu",)
    threads: int = 0
    precision: Precision = "model"
    device: int = 0
    low_memory: bool = False
    cache_dir: Path | None = None
    warm_up: bool = True


class Session:
    """A bundle's model, loaded, warmed up and ready; one thread calls it at a time.

    `file` is the model where it is to be read from disk, by a maker of bundles whose memory has no room for its bytes too.
    `provider` is who computes, `fell_away` why those that were preferred do not.

    Raises:
        SessionError: when no runtime is installed, none can load the model, or the graph is not what the manifest
            says.
    """

    def __init__(self, bundle: Bundle, options: SessionOptions | None = None, *, file: Path | None = None) -> None:
        options = options or SessionOptions()
        for name in options.providers:
            if name not in RUNTIMES:
                raise SessionError(f"provider {name!r} is not known; one of {', '.join(RUNTIMES)}")
        self.bundle = bundle
        self.threads = options.threads or available_cores()
        self.fell_away: dict[str, str] = {}
        self._names = [o.name for o in bundle.manifest.outputs]
        self._runtime = self._first_that_works(bundle.model if file is None else file, options)
        self.provider: str = self._runtime.name

    def infer(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        """Images uint8 [N, height, width, 3] RGB -> the manifest's outputs by name, each with the batch axis.

        They are run one after the other: on a CPU a batch is no faster (decision 8), and a graph that knows it gets one is.

        Raises:
            SessionError: when the runtime fails.
        """
        try:
            rows = [self._runtime.run(images[i : i + 1], self._names) for i in range(len(images))]
        except Exception as e:  # the runtimes raise bare classes of their own, without a common base
            raise SessionError(f"{self.bundle.path}: inference failed: {first_line(e)}") from e
        values = rows[0] if len(rows) == 1 else [np.concatenate(column) for column in zip(*rows, strict=True)]
        return dict(zip(self._names, values, strict=True))

    def _first_that_works(self, model: Model, options: SessionOptions) -> Runtime:
        settings = Settings(
            self.threads, options.precision, options.device, options.low_memory, self._cache(options.cache_dir)
        )
        for provider in dict.fromkeys((*options.providers, "cpu")):
            reasons = []
            for load in RUNTIMES[provider]:
                try:
                    return self._ready(load(model, settings), warm_up=options.warm_up)
                except UnavailableError as e:  # noqa: PERF203 - the next one is tried
                    reasons.append(str(e))
                    log.debug("provider %s: %s", provider, e, exc_info=True)
            self.fell_away[provider] = "; ".join(reasons)
        raise SessionError(f"{self.bundle.path}: cannot be run here: {self.fell_away['cpu']}")

    def _cache(self, folder: Path | None) -> Path | None:
        """Where compiled models are kept: they belong to one bundle."""
        return None if folder is None else folder / self.bundle.digest[:16]

    def _ready(self, runtime: Runtime, *, warm_up: bool) -> Runtime:
        """Checked, and run once: the first run allocates and compiles, and shows whether it works at all."""
        self._check(runtime)
        if not warm_up:
            return runtime
        spec = self.bundle.manifest.input
        try:
            runtime.run(np.zeros((1, spec.height, spec.width, 3), np.uint8), self._names)
        except Exception as e:  # as above
            raise UnavailableError(f"its first run failed: {first_line(e)}") from e
        return runtime

    def _check(self, runtime: Runtime) -> None:
        """That the graph takes and gives what the manifest says."""
        inputs, manifest = runtime.graph.inputs, self.bundle.manifest
        missing = [n for n in self._names if n not in runtime.graph.outputs]
        if missing or set(inputs) != {manifest.input.name}:
            raise SessionError(
                f"{self.bundle.path}: the graph has inputs {sorted(inputs)} and outputs {sorted(runtime.graph.outputs)}, "
                f"the manifest says {[manifest.input.name]} and {self._names}"
            )
        kind, got = inputs[manifest.input.name]
        want = [manifest.input.height, manifest.input.width, 3]
        if list(got[1:]) != want or kind != "tensor(uint8)":
            raise SessionError(
                f"{self.bundle.path}: the graph takes {kind} {list(got)}, "
                f"the manifest says tensor(uint8) [N, {', '.join(map(str, want))}]"
            )


def available_cores() -> int:
    """The cores this process may run on, which a container or systemd may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
