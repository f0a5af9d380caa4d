"""One net's process: started, watched for time and memory, ended with all its children, and asked for its row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.zoo import find

__all__ = ["Limits", "Running", "start"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one net may use."""

    seconds: float
    memory_bytes: int


@dataclass(slots=True)
class Running:
    """A process that works on one net; its row is in `result` when it ends by itself."""

    name: str
    process: subprocess.Popen[bytes]
    result: Path
    log: Path
    limits: Limits
    started: float = field(default_factory=time.monotonic)
    why: str = ""

    def finished(self) -> bool:
        """Whether it has ended, by itself or because it went over a limit."""
        if self.process.poll() is not None:
            return True
        if time.monotonic() - self.started > self.limits.seconds:
            self.stop(f"took longer than {self.limits.seconds:.0f} s")
        elif _resident(self.process.pid) > self.limits.memory_bytes:
            self.stop(f"needed more than {self.limits.memory_bytes / 2**30:.1f} GB")
        return self.process.poll() is not None

    def stop(self, why: str) -> None:
        """End it and everything that it started."""
        self.why = why
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def row(self) -> dict[str, Any]:
        """What it found, or how far it came."""
        blank = {"net": self.name, "task": find(self.name).task, "status": "failed", "stage": "start"}
        try:
            found = {**blank, **json.loads(self.result.read_text(encoding="utf-8"))}
        except (OSError, ValueError):
            found = blank
        if self.process.returncode == 0 and "why" not in found and found["status"] != "failed":
            return found
        if self.why:
            return {**found, "status": "over limit", "why": f"{self.why}, at: {found['stage']}"}
        return {**found, "why": found.get("why") or f"{self._last_words()}, at: {found['stage']}"}

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"ended with {self.process.returncode}"


def start(name: str, folder: Path, limits: Limits) -> Running:
    """Start the process of one net, one thread to each library."""
    result, log = folder / f"{name}.json", folder / f"{name}.log"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.sweep_net", name, "-o", str(result)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env=environment, stdin=subprocess.DEVNULL
        )
    return Running(name, process, result, log, limits)


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
