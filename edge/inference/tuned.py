"""What `gluon-edge tune` found out on this device, kept for `gluon-edge run`.

One file a bundle in the state folder's `tuned/`. It holds for the hardware, the runtimes' versions and the bundle that
it was measured with, and is passed over when one of them has changed.
"""

import contextlib
import logging
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edge.bundle.bundle import Bundle
from edge.config import ModelConfig
from edge.durable import replace_file
from edge.inference.session import SessionOptions, available_cores

__all__ = ["Tuned", "hardware", "options_for", "recall", "remember", "versions"]

log = logging.getLogger(__name__)

_MAX_BYTES = 1 << 16
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-ep-openvino", "openvino")


class Tuned(BaseModel):
    """The best way to run a bundle here; `latency_ms` is the median of its inference alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal["tuned/1.0"] = "tuned/1.0"
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    hardware: str
    versions: dict[str, str]
    provider: str
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["model", "half"]
    latency_ms: Annotated[float, Field(ge=0)]


def hardware() -> str:
    """The board or processor, its cores that may be used, and its GPUs: `aarch64, Raspberry Pi 5, 4 cores`."""
    return ", ".join((platform.machine(), _processor(), f"{available_cores()} cores", *_gpus()))


def versions() -> dict[str, str]:
    """The runtimes that are installed."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def remember(folder: Path, tuned: Tuned) -> Path:
    """Writes down what was found; the file.

    Raises:
        OSError: when the folder cannot be written.
    """
    path = _file(folder, tuned.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, tuned.model_dump_json(indent=2) + "\n")
    return path


def recall(folder: Path, digest: str) -> Tuned | None:
    """What was found for a bundle on this very hardware with these very runtimes; None when nothing was."""
    path = _file(folder, digest)
    try:
        with path.open("rb") as f:
            tuned = Tuned.model_validate_json(f.read(_MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as e:
        log.warning("%s cannot be used (%s); run 'gluon-edge tune' again", path, str(e).split("\n", 1)[0])
        return None
    if (tuned.digest, tuned.hardware, tuned.versions) != (digest, hardware(), versions()):
        log.info("%s was measured on other hardware or with other runtimes; run 'gluon-edge tune' again", path)
        return None
    return tuned


def options_for(bundle: Bundle, model: ModelConfig, folder: Path) -> SessionOptions:
    """How to run a bundle: as `[model]` says, and where it leaves that open as `tune` found, else on the CPU.

    `folder` is the node's state folder.
    """
    more: dict[str, Any] = {"device": model.device, "low_memory": model.low_memory, "cache_dir": folder / "compiled"}
    if model.providers is not None:
        return SessionOptions(model.providers, model.threads, model.precision, **more)
    tuned = recall(folder, bundle.digest) if model.tuned and model.precision == "model" else None
    if tuned is None:
        return SessionOptions(("cpu",), model.threads, model.precision, **more)
    log.info("tuned: %s, %d threads, %s", tuned.provider, tuned.threads, tuned.precision)
    return SessionOptions((tuned.provider,), model.threads or tuned.threads, tuned.precision, **more)


def _file(folder: Path, digest: str) -> Path:
    return folder / "tuned" / f"{digest[:16]}.json"


def _processor() -> str:
    for path, key in (("/proc/device-tree/model", None), ("/proc/cpuinfo", "model name")):
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        if key is None:
            return text.strip("\x00\n ")[:200]
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()[:200]
    return "unknown processor"


def _gpus() -> list[str]:
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return found
