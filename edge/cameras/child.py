"""A reader's process: `python -m edge.cameras.child DESCRIPTOR`. It opens a camera when told, and lends its frames.

Everything that may hang in a driver or a library hangs here, where it can be killed. The process lives as long as the
agent holds the other end of its socket, and is killed by the kernel when the thread that started it is gone.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys

from edge.cameras import open_camera
from edge.cameras.camera import Camera, Opening, Settings, TwoSizes
from edge.cameras.judge import check_size, digest
from edge.cameras.pace import Cap
from edge.cameras.ring import RingWriter
from edge.cameras.stop import NeverStop
from edge.cameras.wire import CLOSE, Lent, close_all, pack_frame, pack_note, receive, unpack
from edge.clock import Clock
from edge.errors import CameraError, EdgeError

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


class _AgentGoneError(Exception):
    """Nobody is there to read for."""


class _Reader:
    """Serves one agent over one socket."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._ring: RingWriter | None = None
        self._waiting = b""

    def serve(self) -> None:
        """Opens and reads what it is told until the agent is gone."""
        self._say(ready=True)
        while True:
            packet = self._waiting or self._next()
            self._waiting = b""
            if packet == CLOSE:
                continue  # it failed before it was told
            note = unpack(packet)
            if isinstance(note, Lent):
                return
            self._say(opening=note["open"])
            self._read(Settings.of(note["settings"]), note["open"])

    def _read(self, settings: Settings, number: int) -> None:
        """Until it is told to close, or the camera fails. `number` tells this opening from those before."""
        try:
            camera = open_camera(Opening(settings, Clock(), NeverStop()))
        except Exception as e:  # noqa: BLE001 - whatever a driver throws: it is the agent that decides
            self._say(failed=number, reason=_reason(e))
            return
        try:
            self._say(opened=number)
            cap = Cap(settings.fps)
            while not self._told_to_close():
                taken_ns = camera.grab()
                if taken_ns is None:
                    self._say(failed=number, reason="it has ended")
                    return
                if cap.passes(taken_ns):
                    self._lend(camera, taken_ns)
        except _AgentGoneError:
            raise
        except Exception as e:  # noqa: BLE001 - as above
            self._say(failed=number, reason=_reason(e))
        finally:
            camera.close()

    def _lend(self, camera: Camera, taken_ns: int) -> None:
        ring = self._ring
        number = None if ring is None else ring.free()
        if ring is not None and number is None:
            return  # the agent holds them all: it has not got round to those it has
        slot = None if ring is None or number is None else ring.slot(number)
        try:
            image = camera.retrieve(slot)
        except CameraError as e:
            self._say(damaged=str(e))
            return
        problem = check_size(*image.shape[:2])
        if problem is not None:
            self._say(damaged=problem)
            return
        large = camera.large() if isinstance(camera, TwoSizes) else None
        size = (0, 0) if large is None else (large.shape[0] * 2 // 3, large.shape[1])
        if image is not slot or (ring is not None and ring.large != size):
            if ring is None or slot is None or slot.shape != image.shape or ring.large != size:
                ring = self._new_ring(image.shape[0], image.shape[1], size)
                number = 0
            assert number is not None  # noqa: S101
            ring.slot(number)[:] = image
        assert ring is not None  # noqa: S101
        assert number is not None  # noqa: S101
        if large is not None:
            ring.large_slot(number)[:] = large
        ring.lend(number)
        frame = Lent(number, digest(ring.slot(number)), taken_ns)
        try:
            self._link.send(pack_frame(frame), socket.MSG_DONTWAIT)
        except BlockingIOError:
            ring.take_back(number)
        except OSError as e:
            raise _AgentGoneError from e

    def _new_ring(self, height: int, width: int, large: tuple[int, int]) -> RingWriter:
        self._ring = ring = RingWriter(height, width, large)
        try:
            socket.send_fds(self._link, [pack_note(ring=[height, width, *large])], [ring.descriptor])
        except OSError as e:
            raise _AgentGoneError from e
        finally:
            ring.close()
        return ring

    def _told_to_close(self) -> bool:
        try:
            packet = self._next(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        self._waiting = packet
        return True

    def _next(self, flags: int = 0) -> bytes:
        packet, descriptors = receive(self._link, flags)
        close_all(descriptors)
        if not packet:
            raise _AgentGoneError
        return packet

    def _say(self, **note: object) -> None:
        try:
            self._link.send(pack_note(**note))
        except OSError as e:
            raise _AgentGoneError from e


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"


def main() -> None:
    """Serves the agent at the other end of descriptor argv[1]."""
    # Ctrl-C and systemd reach the whole group; when to stop is the agent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[2]):
        return  # it was gone before the kernel was asked
    with socket.socket(fileno=int(sys.argv[1])) as link, contextlib.suppress(_AgentGoneError):
        _Reader(link).serve()


if __name__ == "__main__":
    main()
