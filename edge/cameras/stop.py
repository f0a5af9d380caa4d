"""A stop sign that one can also wait for together with descriptors."""

import contextlib
import os
import threading
import time

__all__ = ["NeverStop", "StopSign"]


class StopSign:
    """Like threading.Event, set once; `fileno` becomes readable when it is. Close it when nobody waits any more."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._read, self._write = os.pipe()

    def set(self) -> None:
        """It is time. Any thread may, also again."""
        self._event.set()
        with contextlib.suppress(OSError):  # closed: everybody has gone
            os.write(self._write, b"x")

    def is_set(self) -> bool:
        """Whether it is time."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps; True at once when it is time."""
        return self._event.wait(seconds)

    def fileno(self) -> int:
        """Readable when it is time."""
        return self._read

    def close(self) -> None:
        """Gives the descriptors back."""
        for name in ("_read", "_write"):
            descriptor, closed = getattr(self, name), -1
            setattr(self, name, closed)
            if descriptor >= 0:
                os.close(descriptor)


class NeverStop:
    """For those who are ended in another way."""

    def is_set(self) -> bool:
        """Never."""
        return False

    def wait(self, seconds: float) -> bool:
        """Sleeps."""
        time.sleep(seconds)
        return False

    def fileno(self) -> int:
        """There is nothing to wait for."""
        return -1
