"""The board's temperature and throttling: sysfs first, and what only a Raspberry Pi's firmware knows by `vcgencmd`.

Thermal zones: Documentation/driver-api/thermal/sysfs-api.rst of the kernel, in thousandths of a degree. Throttling: the
bits of `vcgencmd get_throttled` (Raspberry Pi documentation, "vcgencmd"), 0 to 3 now, 16 to 19 since it was started.
"""

import contextlib
import logging
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Board", "Heat"]

log = logging.getLogger(__name__)

_ANSWER_S = 1.0
_BITS = {0: "under-voltage", 1: "frequency-capped", 2: "throttled", 3: "soft-temperature-limit"}
_TEMP = re.compile(r"temp=(-?[0-9]+(?:\.[0-9]+)?)'C")
_THROTTLED = re.compile(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})")
_LEAST_C, _MOST_C = -60.0, 200.0  # a sensor that says more is broken, or not there


def _ask(command: Sequence[str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=True
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Heat:
    """The hottest zone in degrees Celsius, what the firmware holds back now, and what it has since it was started.

    Each is None where nobody tells.
    """

    celsius: float | None = None
    throttled: tuple[str, ...] | None = None
    throttled_ever: tuple[str, ...] | None = None

    def told(self) -> dict[str, Any]:
        """As `health` has it; what nobody tells is left out."""
        found = {"celsius": self.celsius, "throttled": self.throttled, "throttled_ever": self.throttled_ever}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items() if v is not None}


class Board:
    """The sensors below `root`. `ask` runs a command; one that fails is not asked again, and nothing here ever raises."""

    def __init__(self, root: Path = Path("/"), ask: Callable[[Sequence[str]], str] = _ask) -> None:
        self._root = root
        self._run = ask
        self._mute = False

    def read(self) -> Heat:
        """What they say now."""
        celsius = max(self._zones(), default=None)
        bits = self._throttled_file()
        # Where the kernel tells, nobody is asked: a process costs more than a file.
        if celsius is None and (found := _TEMP.search(self._firmware("measure_temp"))):
            celsius = _plausible(float(found[1]))
        if bits is None and (found := _THROTTLED.fullmatch(self._firmware("get_throttled"))):
            bits = int(found[1], 16)
        if bits is None:
            return Heat(celsius)
        now, ever = (tuple(w for bit, w in _BITS.items() if bits >> (bit + shift) & 1) for shift in (0, 16))
        return Heat(celsius, now, ever)

    def _zones(self) -> list[float]:
        degrees = []
        for path in self._root.glob("sys/class/thermal/thermal_zone*/temp"):
            with contextlib.suppress(OSError, ValueError):  # some drivers answer EAGAIN, or nonsense, while they rest
                found = _plausible(int(path.read_text()) / 1000)
                degrees += [] if found is None else [found]
        return degrees

    def _throttled_file(self) -> int | None:
        for path in self._root.glob("sys/devices/platform/soc*/*firmware/get_throttled"):
            with contextlib.suppress(OSError):
                found = _THROTTLED.fullmatch(path.read_text().strip())
                return int(found[1], 16) if found else None
        return None

    def _firmware(self, what: str) -> str:
        model = self._root / "proc/device-tree/model"
        try:
            if self._mute or not model.read_text(errors="replace").startswith("Raspberry Pi"):
                return ""
            return self._run(["vcgencmd", what]).strip()
        except (OSError, subprocess.SubprocessError) as e:
            if model.exists():
                self._mute = True
                log.warning("vcgencmd %s: %s; not asked again (the service needs systemd/raspberry-pi.conf)", what, e)
            return ""


def _plausible(celsius: float) -> float | None:
    return celsius if _LEAST_C < celsius < _MOST_C else None
