"""The last rung: a command of the owner's for a camera that stays away, such as a USB reset or a reboot, on a budget.

The budget is kept in a file, for a reboot that does not help must not be followed by another at every start.
"""

import json
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge.clock import Clock
from edge.durable import replace_file

__all__ = ["LastResort"]

log = logging.getLogger(__name__)

_DAY_NS = 86_400 * 10**9
_TIMEOUT_S = 60.0


class LastResort:
    """Runs `command` (a program and its arguments, no shell) at most `per_day` times in 24 hours.

    `after_s` is how long the camera has to be away first, and how long the command has to help.
    """

    def __init__(self, command: Sequence[str], *, after_s: float, per_day: int, record: Path) -> None:
        self._command = list(command)
        self.after_s = after_s
        self._per_day = per_day
        self._record = record

    def take(self, clock: Clock) -> str:
        """Runs it if the budget allows; what was done, in words."""
        now_ns = clock.wall_ns()
        program = Path(self._command[0]).name
        # What a clock that was wrong has written into the future counts as well.
        known = self._times()
        if known is None:
            return f"{program} is not run, because {self._record} cannot be read and its budget not be kept"
        times = [t for t in known if now_ns - t < _DAY_NS]
        if len(times) >= self._per_day:
            return f"{program} was run {len(times)} times in a day, which is its budget; trying again every few seconds"
        if not self._write([*times, now_ns]):
            return f"{program} is not run, because {self._record} cannot be written and its budget not be kept"
        try:
            done = subprocess.run(  # noqa: S603 - the owner's own command
                self._command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"{program} did not end in {_TIMEOUT_S:g} s"
        except OSError as e:
            return f"{program} cannot be run: {e.strerror}"
        return f"ran {program}, which ended with {done.returncode}"

    def _times(self) -> list[int] | None:
        try:
            found = json.loads(self._record.read_bytes()[:65536])
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as e:
            log.warning("%s: %s", self._record, e)
            return None
        return [t for t in found if isinstance(t, int)] if isinstance(found, list) else []

    def _write(self, times: list[int]) -> bool:
        try:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._record, json.dumps(times))
        except OSError as e:
            log.warning("%s: %s", self._record, e.strerror)
            return False
        return True
