"""onnxruntime, set up for a node: the provider asked for or the next best, threads by hand, no spinning."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import SessionError

__all__ = ["Session", "SessionOptions"]

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to run a model. `threads` 0 means as many as this process may use cores."""

    providers: tuple[str, ...] = ("cpu",)
    threads: int = 0


class Session:
    """A bundle's model, loaded, warmed up and ready; one thread calls it at a time.

    Raises:
        SessionError: when onnxruntime is not installed, cannot load the model, or the graph is not what the
            manifest says.
    """

    def __init__(self, bundle: Bundle, options: SessionOptions | None = None) -> None:
        options = options or SessionOptions()
        try:
            import onnxruntime as ort
        except ImportError as e:
            raise SessionError(
                f"onnxruntime is not usable here ({e}): pip install 'gluon-edge[cpu]' (or [gpu]; Jetson: NVIDIA's wheel)"
            ) from e
        self.bundle = bundle
        self.threads = options.threads or available_cores()
        available = ort.get_available_providers()
        wanted = []
        self.fell_away: dict[str, str] = {}
        for name in options.providers:
            if name not in _PROVIDERS:
                raise SessionError(f"provider {name!r} is not known; one of {', '.join(_PROVIDERS)}")
            if _PROVIDERS[name] in available:
                wanted.append(_PROVIDERS[name])
            else:
                self.fell_away[name] = "not in this build of onnxruntime"
        if _PROVIDERS["cpu"] not in wanted:
            wanted.append(_PROVIDERS["cpu"])
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = self.threads
        settings.inter_op_num_threads = 1
        # The arena stays on: it keeps what it ever held, which with one input shape is what one run needs, and
        # without it every run maps and unmaps its buffers anew (an SSD at 384x672 takes 1.5 times as long).
        settings.enable_cpu_mem_arena = True
        settings.log_severity_level = 3
        # Spinning buys a few percent of latency for whole cores of heat.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(bundle.model, settings, providers=wanted)
        except Exception as e:  # onnxruntime raises bare classes of its own, without a common base
            raise SessionError(f"{bundle.path}: onnxruntime cannot load the model: {_first_line(e)}") from e
        self.provider: str = self._session.get_providers()[0]
        self._names = [o.name for o in bundle.manifest.outputs]
        self._check_graph()
        spec = bundle.manifest.input
        self.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))

    def infer(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        """Images uint8 [N, height, width, 3] RGB -> the manifest's outputs by name, each with the batch axis.

        Raises:
            SessionError: when the runtime fails.
        """
        try:
            values = self._session.run(self._names, {self.bundle.manifest.input.name: images})
        except Exception as e:  # as above
            raise SessionError(f"{self.bundle.path}: inference failed: {_first_line(e)}") from e
        return dict(zip(self._names, values, strict=True))

    def _check_graph(self) -> None:
        inputs = {i.name: i for i in self._session.get_inputs()}
        outputs = {o.name for o in self._session.get_outputs()}
        manifest = self.bundle.manifest
        missing = [n for n in self._names if n not in outputs]
        if missing or set(inputs) != {manifest.input.name}:
            raise SessionError(
                f"{self.bundle.path}: the graph has inputs {sorted(inputs)} and outputs {sorted(outputs)}, "
                f"the manifest says {[manifest.input.name]} and {self._names}"
            )
        got: Sequence[Any] = inputs[manifest.input.name].shape
        want = [manifest.input.height, manifest.input.width, 3]
        if list(got[1:]) != want or inputs[manifest.input.name].type != "tensor(uint8)":
            raise SessionError(
                f"{self.bundle.path}: the graph takes {inputs[manifest.input.name].type} {list(got)}, "
                f"the manifest says tensor(uint8) [N, {', '.join(map(str, want))}]"
            )


def available_cores() -> int:
    """The cores this process may run on, which a container or systemd may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
