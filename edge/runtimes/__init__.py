"""Every way to run a model on this device, behind one protocol; RUNTIMES is the table to add to (docs/providers.md)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edge.runtimes.openvino import openvino_own
from edge.runtimes.plugin import openvino_plugin
from edge.runtimes.providers import cpu, cuda, openvino_build, tensorrt, xnnpack
from edge.runtimes.runtime import Graph, Model, Precision, Runtime, Settings, UnavailableError, first_line

__all__ = ["RUNTIMES", "Graph", "Model", "Precision", "Runtime", "Settings", "UnavailableError", "first_line"]

RUNTIMES: Mapping[str, tuple[Callable[[Model, Settings], Runtime], ...]] = MappingProxyType(
    {
        "cpu": (cpu,),
        "xnnpack": (xnnpack,),
        "cuda": (cuda,),
        "tensorrt": (tensorrt,),
        # In this order: what keeps to a stock onnxruntime, what replaces it, what does without it.
        "openvino": (openvino_plugin, openvino_build, openvino_own),
    }
)
