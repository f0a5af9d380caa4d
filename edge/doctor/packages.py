"""What is installed: the runtime and its providers, and wheels that overwrite one another."""

import struct
from collections.abc import Iterator

from edge.doctor.finding import Device, Finding
from edge.runtimes import UnavailableError
from edge.runtimes.onnx import onnxruntime

__all__ = ["check_packages"]

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def check_packages(device: Device) -> Iterator[Finding]:
    """The runtime, OpenCV, and what the processor can do without."""
    if struct.calcsize("P") == 4:
        text = "this Python is a 32-bit one, for which onnxruntime has no wheels"
        yield Finding("wrong", "python", text, "install a 64-bit system (Raspberry Pi OS 64-bit) and its Python")
    yield from _runtime(device)
    yield from _opencv(device)


def _runtime(device: Device) -> Iterator[Finding]:
    installed = [name for name in _RUNTIMES if device.version(name)]
    if len(installed) > 1:
        text = f"{' and '.join(installed)} are both installed; they overwrite each other's files"
        keep = installed[-1]
        mend = f"pip uninstall -y {' '.join(installed)} && pip install {keep}"
        yield Finding("wrong", "runtime", text, mend)
        return
    try:
        ort = onnxruntime()
    except UnavailableError as e:
        if device.version("openvino"):
            yield Finding("note", "runtime", 'openvino alone is installed: set providers = ["openvino"]')
        else:
            yield Finding("wrong", "runtime", str(e).partition(": pip")[0], "pip install 'gluon-edge[cpu]'")
        return
    providers = [p.removesuffix("ExecutionProvider") for p in ort.get_available_providers()]
    yield Finding("good", "runtime", f"onnxruntime {ort.__version__} with {', '.join(providers)}")
    gpu = any(device.glob("proc/driver/nvidia/gpus/*")) or any(device.glob("dev/nvhost-gpu"))
    if gpu and "CUDA" not in providers:
        jetson = device.machine == "aarch64"
        mend = (
            "install onnxruntime-gpu from NVIDIA's index for this JetPack"
            if jetson
            else ("pip uninstall -y onnxruntime && pip install 'gluon-edge[gpu]'")
        )
        yield Finding("note", "runtime", "there is an NVIDIA GPU, and this onnxruntime cannot use it", mend)


def _opencv(device: Device) -> Iterator[Finding]:
    installed = [name for name in _OPENCVS if device.version(name)]
    if len(installed) > 1:
        text = f"{' and '.join(installed)} are both installed; they overwrite each other's files"
        mend = f"pip uninstall -y {' '.join(installed)} && pip install opencv-python-headless"
        yield Finding("wrong", "opencv", text, mend)
    elif installed:
        yield Finding("good", "opencv", f"{installed[0]} {device.version(installed[0])}")
    elif device.can_import("cv2"):
        yield Finding("good", "opencv", "the system's own")
    else:
        yield Finding("wrong", "opencv", "is not installed", "pip install opencv-python-headless")
