"""Execution providers that come as a package of their own and are registered with a stock onnxruntime."""

import functools
import importlib
import json
from typing import Any

from edge.runtimes.onnx import OnnxRuntime, forget_model, onnxruntime, session_options
from edge.runtimes.runtime import Model, Runtime, Settings, UnavailableError, first_line

__all__ = ["openvino_plugin"]

_PACKAGE = "onnxruntime_ep_openvino"


def openvino_plugin(model: Model, settings: Settings) -> Runtime:
    """The package onnxruntime-ep-openvino. Its releases up to 1.8 offer no device on a CPU that is not Intel's."""
    ort = onnxruntime()
    name = _register(ort, _PACKAGE)
    kind = ort.OrtHardwareDeviceType.CPU
    devices = [d for d in ort.get_ep_devices() if d.ep_name == name and d.device.type == kind]
    if not devices:
        raise UnavailableError("onnxruntime-ep-openvino offers no device for this CPU")
    options = session_options(ort, settings)
    try:
        options.add_provider_for_devices(devices[:1], _options(settings))
        session = forget_model(ort.InferenceSession(model, options, enable_fallback=0))
    except Exception as e:  # onnxruntime raises bare classes of its own, without a common base
        raise UnavailableError(first_line(e)) from e
    if name not in session.get_providers():
        raise UnavailableError("onnxruntime-ep-openvino takes no part of this model")
    return OnnxRuntime(session, name)


def _options(settings: Settings) -> dict[str, str]:
    cpu = {"INFERENCE_NUM_THREADS": str(settings.threads)}
    if settings.precision == "model":
        cpu["INFERENCE_PRECISION_HINT"] = "f32"
    return {"load_config": json.dumps({"CPU": cpu})}


@functools.cache
def _register(ort: Any, package: str) -> str:
    """Registers a plugin's library, once a process; the name of its provider.

    Raises:
        UnavailableError: when it is not installed, or does not fit this onnxruntime.
    """
    try:
        plugin: Any = importlib.import_module(package)
    except ImportError:
        raise UnavailableError(f"{package.replace('_', '-')} is not installed") from None
    if not hasattr(ort, "register_execution_provider_library"):
        raise UnavailableError(f"onnxruntime {ort.__version__} takes no plugins; 1.23 does")
    try:
        ort.register_execution_provider_library(package, plugin.get_library_path())
    except Exception as e:  # as above
        raise UnavailableError(first_line(e)) from e
    return str(plugin.get_ep_name())
