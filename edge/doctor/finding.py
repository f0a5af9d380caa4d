"""What the doctor says of one thing, and what it looks at."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from edge.clock import ClockState, kernel_clock_state

__all__ = ["Device", "Finding"]

Verdict = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`wrong` must be mended, a `note` may be; `mend` is the command, or what a person has to do."""

    verdict: Verdict
    subject: str
    text: str
    mend: str | None = None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Device:
    """The machine as the checks see it; tests give one of their own, with files under a `root` that is not /."""

    root: Path = Path("/")
    machine: str = field(default_factory=platform.machine)
    user: int = field(default_factory=os.getuid)
    groups: frozenset[int] = field(default_factory=lambda: frozenset({os.getgid(), *os.getgroups()}))
    version: Callable[[str], str | None] = _version
    can_import: Callable[[str], bool] = lambda name: util.find_spec(name) is not None
    clock: Callable[[], ClockState] = kernel_clock_state

    def read(self, path: str) -> str | None:
        """A small text file of the system; None when it is not there."""
        try:
            with (self.root / path).open(errors="replace") as f:
                return f.read(1 << 20).strip("\x00\n ")
        except OSError:
            return None

    def glob(self, pattern: str) -> Iterator[Path]:
        """Files of the system, in order."""
        return iter(sorted(self.root.glob(pattern)))

    @property
    def board(self) -> str:
        """`Raspberry Pi 5 Model B Rev 1.0`, or nothing."""
        return self.read("proc/device-tree/model") or ""

    @property
    def raspberry_pi(self) -> bool:
        """Whether this is one."""
        return self.board.startswith("Raspberry Pi")

    def may_use(self, path: Path) -> bool:
        """Whether this user may read and write a file, by its mode (access lists are not looked at)."""
        found = path.stat()
        if self.user == 0:
            return True
        shift = 6 if found.st_uid == self.user else 3 if found.st_gid in self.groups else 0
        return found.st_mode >> shift & 0o6 == 0o6
