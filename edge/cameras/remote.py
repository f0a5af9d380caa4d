"""A live camera, read by a process of its own: its frames are looked at where that process has put them."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import Camera, Opening, Settings, Still
from edge.cameras.judge import Judge, check_size
from edge.cameras.process import HungError, ReaderProcess, StoppedError
from edge.cameras.ring import SLOTS
from edge.cameras.wire import CLOSE, Lent, pack_note
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["Remote"]

_ANSWER_S = 1.0
_GRACE_S = 1.0


class Remote:
    """Opens one live camera again and again, in a process that is killed when it hangs. One thread uses it."""

    def __init__(self, settings: Settings) -> None:
        self._process = ReaderProcess()
        self.judge = Judge(patience_s=settings.read_timeout_s, frozen_s=settings.frozen_s)
        self._number = 0

    def __call__(self, opening: Opening) -> Camera:
        """Opens it.

        Raises:
            HungError: when the process has to be killed first.
            CameraError: when the camera is away.
        """
        process, settings = self._process, opening.settings
        process.ensure(opening.stop)
        self._number += 1
        process.tell(pack_note(open=self._number, settings=asdict(settings)))
        self._answer("opening", _ANSWER_S, opening)
        self._answer("opened", settings.open_timeout_s + _GRACE_S, opening)
        self.judge.opened(opening.now())
        return _RemoteCamera(process, self.judge, opening)

    @property
    def refused(self) -> Mapping[str, int]:
        """Repeats of a picture, what was no whole picture of its time, and how often the process was started again."""
        judge, restarts = self.judge, max(0, self._process.started - 1)
        return {"repeated": judge.repeated, "damaged": judge.damaged, "restarts": restarts}

    def kill(self) -> None:
        """Kills the process; the next opening starts another."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process."""
        self._process.close()

    def _answer(self, word: str, seconds: float, opening: Opening) -> None:
        """Waits for the answer to this opening; what is left over from those before is passed over."""
        deadline_ns = opening.now() + round(seconds * 1e9)
        while True:
            said = self._process.hear(max(0.0, (deadline_ns - opening.now()) / 1e9), opening.stop)
            if isinstance(said, Lent):
                if self._process.ring is not None:
                    self._process.ring.give_back(said.slot)
            elif said.get("failed") == self._number:
                raise CameraError(str(said.get("reason")))
            elif said.get(word) == self._number:
                return


class _RemoteCamera:
    def __init__(self, process: ReaderProcess, judge: Judge, opening: Opening) -> None:
        self._process = process
        self._judge = judge
        self._opening = opening
        self._lent: Lent | None = None
        self._still: Still | None = None

    def grab(self) -> int | None:
        try:
            while True:
                self._give_back()
                if self._next() and self._is_new():
                    return self._lent.taken_ns if self._lent is not None else None
        except StoppedError:
            return None

    def retrieve(self, into: Image | None = None) -> Image:  # noqa: ARG002 - it lies where it lies
        lent, ring = self._lent, self._process.ring
        if lent is None or ring is None:
            raise CameraError("no frame was grabbed")
        self._lent = None
        image, large = ring.views(lent.slot)
        # Whoever keeps pictures for long gets copies, or the reader would have nowhere left to write.
        if ring.lent() > SLOTS - 2:
            image, large = image.copy(), large.copy()
        self._still = partial(_decode, large) if large.size else None
        return image

    def still(self) -> Still | None:
        return self._still

    def close(self) -> None:
        self._give_back()
        try:
            self._process.tell(CLOSE)
        except CameraError:  # it is gone, or hangs: who opens it next will see
            return

    def _next(self) -> bool:
        """Waits for a frame; False when something else came.

        Raises:
            CameraError: when the camera failed, or patience is at its end.
        """
        now = self._opening.now()
        fault = self._judge.fault(now)
        if fault is not None:
            raise CameraError(fault)
        try:
            said = self._process.hear(self._judge.left_ns(now) / 1e9, self._opening.stop)
        except HungError:
            return False
        if isinstance(said, Lent):
            self._lent = said
            return True
        if "damaged" in said:
            self._judge.damage(str(said["damaged"]), self._opening.now())
        elif "failed" in said:
            raise CameraError(str(said.get("reason")))
        return False

    def _is_new(self) -> bool:
        lent, ring = self._lent, self._process.ring
        if lent is None or ring is None:
            return False
        problem = check_size(ring.height, ring.width)
        if problem is not None:
            self._judge.damage(problem, self._opening.now())
            return False
        return self._judge.frame(lent.digest, lent.taken_ns, self._opening.now()) == "new"

    def _give_back(self) -> None:
        self._still = None
        lent, self._lent = self._lent, None
        if lent is not None and self._process.ring is not None:
            self._process.ring.give_back(lent.slot)


def _decode(i420: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), np.uint8)
