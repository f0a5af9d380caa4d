"""The process that reads one live camera: started, asked, and killed when it does not answer."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import edge
from edge.cameras.camera import Stop
from edge.cameras.ring import RingReader
from edge.cameras.wire import Lent, close_all, receive, unpack
from edge.errors import CameraError

__all__ = ["HungError", "ReaderProcess", "StoppedError"]

_START_S = 15.0
_END_S = 0.5
_COMMAND = (sys.executable, "-m", "edge.cameras.child")
# One thread a library: a decoder's own threads are enough, and a Pi has few cores.
_FEW_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class HungError(CameraError):
    """The process that reads the camera does not answer: it has to be killed."""


class StoppedError(CameraError):
    """It was time to stop while it was waited for."""


class ReaderProcess:
    """At most one process at a time. One thread uses it, and the process is gone with that thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self.ring: RingReader | None = None
        self.started = 0

    def ensure(self, stop: Stop) -> None:
        """Starts it unless it runs.

        Raises:
            CameraError: when it cannot be started.
            StoppedError: when it was time to stop before it was ready.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link = ours
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                    [*_COMMAND, str(theirs.fileno()), str(os.getpid())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # drivers write URLs with passwords there; errors come by the socket
                    env={**os.environ, **_FEW_THREADS, "PYTHONPATH": _import_path()},
                )
        except OSError as e:
            self.kill()
            raise CameraError(f"its reader cannot be started: {e.strerror}") from e
        self.started += 1
        self.hear(_START_S, stop)

    def tell(self, packet: bytes) -> None:
        """Sends it a packet.

        Raises:
            CameraError: when it is gone.
        """
        try:
            if self._link is not None:
                self._link.send(packet, socket.MSG_DONTWAIT)
        except BlockingIOError as e:
            raise HungError("its reader does not listen") from e
        except OSError as e:
            raise self._gone() from e

    def hear(self, seconds: float, stop: Stop) -> Lent | Mapping[str, Any]:
        """What it says next; a new ring is taken in on the way.

        Raises:
            HungError: when it says nothing for so long.
            StoppedError: when it is time to stop.
            CameraError: when it is gone.
        """
        deadline = time.monotonic() + seconds
        while True:
            if not self._wait(max(0.0, deadline - time.monotonic()), stop):
                raise HungError("its reader does not answer")
            said = self.overhear()
            if said is not None:
                return said

    def overhear(self) -> Lent | Mapping[str, Any] | None:
        """What it has said already; None when that is nothing, or only a new ring.

        Raises:
            CameraError: when it is gone.
        """
        if self._link is None:
            raise CameraError("its reader was not started")
        try:
            packet, descriptors = receive(self._link, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        try:
            if not packet:
                raise self._gone()
            said = unpack(packet)
            if isinstance(said, Lent) or "ring" not in said:
                return said
            self.ring = RingReader(descriptors[0], *said["ring"])
        except (ValueError, IndexError, TypeError, KeyError) as e:
            raise CameraError(f"its reader sent what cannot be used: {e}") from e
        finally:
            close_all(descriptors)
        return None

    def kill(self) -> None:
        """Ends it, whatever it hangs in; what it lent stays as long as somebody looks at it."""
        self.ring = None
        link, self._link = self._link, None
        if link is not None:
            link.close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Ends it, and gives it a moment to put its camera back first."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self.kill()

    def _wait(self, seconds: float, stop: Stop) -> bool:
        """Whether there is something to hear in time."""
        if self._link is None:
            raise CameraError("its reader was not started")
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if stop.fileno() >= 0:
            poll.register(stop.fileno(), select.POLLIN)
        ready = poll.poll(seconds * 1e3)
        if stop.is_set():
            raise StoppedError("stopped")
        return bool(ready)

    def _gone(self) -> CameraError:
        status = 0
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(_END_S)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self.kill()
        return CameraError(f"its reader {how}")


def _import_path() -> str:
    """Where the process finds this very package, however it came to be here."""
    home = str(Path(edge.__file__).resolve().parents[1])
    return os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
