"""Whether the agent really works: what a watchdog may be fed with. Time that passes is no work."""

import threading
import time
from collections.abc import Callable

__all__ = ["Liveness"]


class Liveness:
    """Counts frames that went all the way, and knows when there is none to wait for.

    The inference thread calls `begin` and `finish` around each; `works` is asked from outside. Work goes on when a
    frame was finished since the last time, or when none was begun and no camera could give one: every one of them is
    known to be away, switched off, or at its end. A model that hangs, and a camera that says it is there but gives
    nothing, both leave `works` False. A camera that is asked for a frame only every `rarest_s` may take twice that.
    """

    def __init__(
        self,
        online: Callable[[], object],
        *,
        rarest_s: float = 0.0,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._online = online
        self._patience_s = 2 * rarest_s
        self._mono = mono
        self._lock = threading.Lock()
        self._finished = 0
        self._seen = 0
        self._seen_at = mono()
        self._busy = False

    def expect(self, rarest_s: float) -> None:
        """Cameras are asked for frames at another rate from now on."""
        with self._lock:
            self._patience_s = 2 * rarest_s

    def begin(self) -> None:
        """A frame goes into the model."""
        with self._lock:
            self._busy = True

    def finish(self) -> None:
        """A frame has gone all the way; one that failed has not."""
        with self._lock:
            self._finished += 1
            self._busy = False

    def fail(self) -> None:
        """A frame was given up. The model did not hang, but this is no work either."""
        with self._lock:
            self._busy = False

    def works(self) -> bool:
        """Whether work went on since this was last asked."""
        with self._lock:
            moved = self._finished != self._seen
            self._seen = self._finished
            if moved:
                self._seen_at = self._mono()
                return True
            if self._busy:
                return False
            patient = self._mono() - self._seen_at < self._patience_s
        return patient or not self._online()
