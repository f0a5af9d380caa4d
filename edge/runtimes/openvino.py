"""OpenVINO's own runtime, without onnxruntime: on CPUs that the plugin does not take, such as AMD's and ARM's."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.runtimes.runtime import Graph, Model, Runtime, Settings, UnavailableError, first_line

__all__ = ["openvino_own"]

_TYPES = {"u8": "tensor(uint8)"}


def openvino_own(model: Model, settings: Settings) -> Runtime:
    """The package `openvino`, which has wheels for x86-64 and aarch64."""
    openvino = _import()
    config: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": settings.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if settings.precision == "model":
        # Else it takes bf16 or fp16 by itself, where the CPU has them.
        config["INFERENCE_PRECISION_HINT"] = "f32"
    if settings.cache_dir is not None:
        config["CACHE_DIR"] = str(settings.cache_dir / "openvino")
    try:
        core = openvino.Core()
        graph = core.read_model(model)
        inputs = {i.get_any_name(): i for i in graph.inputs}
        outputs = [name for o in graph.outputs for name in o.get_names()]
        shapes = {name: _shape(i) for name, i in inputs.items()}
        # One picture at a time: shapes that are known when it is compiled make it faster.
        graph.reshape({name: [1, *shape[1:]] for name, shape in shapes.items()})
        compiled = core.compile_model(graph, "CPU", config)
    except Exception as e:  # openvino raises RuntimeError and bare classes of its own
        raise UnavailableError(f"openvino: {first_line(e)}") from e
    types = {name: _TYPES.get(i.element_type.to_string(), "another type") for name, i in inputs.items()}
    return _OpenVino(compiled, Graph({n: (types[n], shapes[n]) for n in inputs}, frozenset(outputs)))


def _import() -> Any:
    # Its import reports to its makers over the network, unless that package is missing; a node talks to its broker only.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise UnavailableError("openvino is not installed") from None
    return openvino


class _OpenVino:
    name = "OpenVINO"

    def __init__(self, compiled: Any, graph: Graph) -> None:
        self.graph = graph
        self._request = compiled.create_infer_request()

    def run(self, image: NDArray[np.uint8], names: Sequence[str]) -> list[NDArray[Any]]:
        """See `Runtime`. The input is read where it lies; the outputs are copied, since the next run writes over them."""
        self._request.infer([image], share_inputs=True)
        return [np.array(self._request.get_tensor(name).data) for name in names]


def _shape(port: Any) -> tuple[int | str, ...]:
    return tuple(-1 if d.is_dynamic else d.get_length() for d in port.get_partial_shape())
