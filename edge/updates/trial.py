"""A model that is not trusted yet, in a process of its own under limits; the agent's side of it."""

import contextlib
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from edge.bundle.bundle import Bundle
from edge.errors import BundleError
from edge.frame import Image
from edge.inference.session import SessionOptions
from edge.updates.compare import Finding
from edge.updates.wire import receive, send

__all__ = ["Bounds", "Trial", "TrialError"]

_END_S = 2.0


class TrialError(BundleError):
    """The model has not stood its trial."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a model may take: memory, seconds of processor, seconds until it has proven itself, seconds a frame."""

    memory_bytes: int
    cpu_s: int
    load_s: float
    frame_s: float = 30.0


class Trial:
    """A bundle that lies in a folder, in a child process; use it as a context: it ends with its process, always."""

    def __init__(
        self, bundle: Bundle, options: SessionOptions, bounds: Bounds, *, threshold: float | None = None
    ) -> None:
        self._bounds = bounds
        self._name = f"{bundle.manifest.name} {bundle.manifest.version}"
        ours, theirs = socket.socketpair()
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "edge.updates.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._job = {
            "bundle": str(bundle.path),
            "digest": bundle.digest,
            "options": {**asdict(options), "cache_dir": None if options.cache_dir is None else str(options.cache_dir)},
            "threshold": threshold,
            "memory_bytes": bounds.memory_bytes,
            "cpu_s": bounds.cpu_s,
        }
        self.told: dict[str, Any] = {}

    def prove(self) -> None:
        """Loads it and runs its golden sample: `told` is then its `provider`, `load_s`, `frame_ms` and `peak_mb`.

        Raises:
            TrialError: it cannot be loaded, computes something else, takes more than its bounds, or died.
        """
        self._socket.settimeout(self._bounds.load_s)
        self.told = self._ask(self._job)

    def look(self, image: Image) -> tuple[list[Finding], float]:
        """What it finds in an image, uint8 [H, W, 3] BGR, and in how many milliseconds.

        Raises:
            TrialError: as above.
        """
        height, width = image.shape[:2]
        self._socket.settimeout(self._bounds.frame_s)
        told = self._ask({"height": height, "width": width}, image.tobytes())
        found = [(str(label), float(score), tuple(box) if box else None) for label, score, box in told["found"]]
        return found, float(told["ms"])

    def kill(self) -> None:
        """Ends the process at once; whoever waits for an answer gets a TrialError. Any thread may."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process."""
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Trial":  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, header: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
        begun = time.monotonic()
        try:
            send(self._socket, header, body)
            told, _ = receive(self._socket)
        except TimeoutError as e:
            raise TrialError(f"{self._name}: has not answered in {time.monotonic() - begun:.0f} s") from e
        except (EOFError, OSError, ValueError) as e:
            raise TrialError(f"{self._name}: {self._how_it_died()}") from e
        if "error" in told:
            raise TrialError(f"{self._name}: {told['error']}")
        return told

    def _how_it_died(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_END_S)
            if code in {-9, -24}:
                return f"was ended: more than {self._bounds.cpu_s} s of processor, or the system's memory ran out"
            return f"its process died of signal {-code}" if code < 0 else f"its process ended with status {code}"
        return "its process answers nonsense"
