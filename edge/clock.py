"""Where time comes from: wall and monotonic nanoseconds, and whether the wall clock can be believed."""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Clock", "ClockState", "iso_utc"]

_UNSYNC = 0x40  # STA_UNSYNC of timex.h
_TIME_ERROR = 5
_FRESH_NS = 10_000_000_000
_STEP_NS = 1_000_000
_READINGS = 3


@dataclass(frozen=True, slots=True)
class ClockState:
    """Whether something keeps the wall clock right: `source` is who says so, `error_ms` its bound on the error."""

    synced: bool
    source: str
    error_ms: float | None


class _Timex(ctypes.Structure):
    """The kernel's struct timex (adjtimex(2)) on 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def kernel_clock_state() -> ClockState:
    """What the kernel's clock discipline says; chrony, ntpd and systemd-timesyncd all keep it up to date."""
    unknown = ClockState(synced=False, source="unknown", error_ms=None)
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return unknown
    timex = _Timex()
    code = adjtimex(ctypes.byref(timex))
    if code < 0:
        return unknown
    synced = code != _TIME_ERROR and not timex.status & _UNSYNC
    return ClockState(synced=synced, source="kernel", error_ms=timex.maxerror / 1e3 if synced else None)


@dataclass(slots=True)
class Clock:
    """The clock everything takes its times from; tests put in their own."""

    wall_ns: Callable[[], int] = time.time_ns
    mono_ns: Callable[[], int] = time.monotonic_ns
    ask: Callable[[], ClockState] = kernel_clock_state
    _state: ClockState | None = field(default=None, init=False)
    _asked_ns: int = field(default=0, init=False)
    _ahead_ns: int | None = field(default=None, init=False)

    def wall_of(self, mono_ns: int) -> int:
        """The wall time of a monotonic moment as the clock has it now: once it is synchronised, the true one.

        The same moment gives the same time, to the nanosecond, until the clock is set: NTP's small corrections change
        the pace of both clocks alike, and only what sets the wall clock moves them apart.
        """
        ahead_ns = self._ahead_ns
        if ahead_ns is None or abs(self.wall_ns() - self.mono_ns() - ahead_ns) > _STEP_NS:
            # It was set, or this thread had to wait between the two readings.
            measured_ns = self._measure_ahead()
            if ahead_ns is None or abs(measured_ns - ahead_ns) > _STEP_NS:
                self._ahead_ns = ahead_ns = measured_ns
        return mono_ns + ahead_ns

    def _measure_ahead(self) -> int:
        """How far the wall clock is ahead of the monotonic one; of some readings the one that took the least time."""
        readings = [(self.mono_ns(), self.wall_ns(), self.mono_ns()) for _ in range(_READINGS)]
        before, wall, after = min(readings, key=lambda r: r[2] - r[0])
        return wall - (before + after) // 2

    def state(self) -> ClockState:
        """The state of the wall clock, asked for again every ten seconds."""
        now = self.mono_ns()
        if self._state is None or now - self._asked_ns > _FRESH_NS:
            self._state, self._asked_ns = self.ask(), now
        return self._state


def iso_utc(wall_ns: int) -> str:
    """`2026-11-22T10:22:01.123456Z`: UTC with microseconds."""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ns // 1000:06d}Z"
