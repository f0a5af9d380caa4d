"""onnxruntime's providers, each with the options that suit a camera node."""

import logging

from edge.runtimes.binding import BoundRuntime
from edge.runtimes.onnx import CPU, OnnxRuntime, load
from edge.runtimes.runtime import Model, Runtime, Settings

__all__ = ["cpu", "cuda", "openvino_build", "tensorrt", "xnnpack"]

log = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_XNNPACK = "XnnpackExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"


def cpu(model: Model, settings: Settings) -> Runtime:
    """Onnxruntime's own kernels. They compute in the model's types, whatever `precision` says."""
    return OnnxRuntime(load(model, CPU, settings), CPU, arena=not settings.low_memory)


def xnnpack(model: Model, settings: Settings) -> Runtime:
    """XNNPACK with a pool of its own, and onnxruntime's at one thread, or both would fight for the cores."""
    threads = {"intra_op_num_threads": str(settings.threads)}
    own = Settings(1, settings.precision, settings.device, settings.low_memory, settings.cache_dir)
    return OnnxRuntime(load(model, _XNNPACK, own, threads), _XNNPACK)


def cuda(model: Model, settings: Settings) -> Runtime:
    """CUDA, with its arena growing by what is asked for: doubling would take memory from the cameras' decoders."""
    options = {"device_id": str(settings.device), "arena_extend_strategy": "kSameAsRequested"}
    return BoundRuntime(load(model, _CUDA, settings, options), _CUDA, "cuda", settings.device)


def tensorrt(model: Model, settings: Settings) -> Runtime:
    """TensorRT with its engines kept in `cache_dir`, and CUDA for what it does not take."""
    options = {"device_id": str(settings.device), "trt_fp16_enable": str(int(settings.precision == "half"))}
    if settings.cache_dir is not None:
        cache = settings.cache_dir / "tensorrt"
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(cache)}
    session = load(model, _TENSORRT, settings, options, behind=(_CUDA,), prepare=lambda _o: _say_how_long(settings))
    return BoundRuntime(session, _TENSORRT, "cuda", settings.device)


def _say_how_long(settings: Settings) -> None:
    """Called when the provider is there, and is about to build."""
    if settings.cache_dir is None:
        log.warning("tensorrt: builds its engine for this GPU now, which takes minutes")
        return
    cache = settings.cache_dir / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    if next(cache.glob("*.engine"), None) is None:
        log.warning(
            "tensorrt: builds its engine for this GPU now, which takes minutes; later starts read it from %s", cache
        )


def openvino_build(model: Model, settings: Settings) -> Runtime:
    """The OpenVINO provider of an onnxruntime that was built with it (the wheel onnxruntime-openvino)."""
    options = {"device_type": "CPU", "num_of_threads": str(settings.threads)}
    if settings.precision == "model":
        options["precision"] = "ACCURACY"
    return OnnxRuntime(load(model, _OPENVINO, settings, options), _OPENVINO)
