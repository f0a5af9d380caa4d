"""The board: its clock, heat, power, processor, memory and disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge.doctor.finding import Device, Finding

__all__ = ["check_hardware"]

_HOT_C, _WARM_C = 80.0, 70.0
_NOW = {
    0: "its voltage is too low",
    1: "its frequency is capped",
    2: "it is throttled",
    3: "it is at its soft limit of heat",
}
_LEAST_FREE, _FEW_FREE = 64 << 20, 512 << 20
_LEAST_MEMORY_KB = 200 << 10


def check_hardware(device: Device, state_dir: Path) -> Iterator[Finding]:
    """What of the board keeps an agent from running well; `state_dir` is where its messages wait."""
    yield from _clock(device)
    yield from _heat(device)
    yield from _throttling(device)
    yield from _processor(device)
    yield from _memory(device)
    yield from _disk(state_dir)


def _clock(device: Device) -> Iterator[Finding]:
    state = device.clock()
    if state.synced:
        yield Finding(
            "good", "clock", f"kept right, within {state.error_ms:.0f} ms" if state.error_ms else "kept right"
        )
    else:
        text = "nothing keeps it right: events carry times that may be wrong, and say so; TLS may fail"
        yield Finding("wrong", "clock", text, "sudo timedatectl set-ntp true, or install chrony")


def _heat(device: Device) -> Iterator[Finding]:
    degrees = []
    for path in device.glob("sys/class/thermal/thermal_zone*/temp"):
        text = device.read(str(path.relative_to(device.root)))
        if text and text.lstrip("-").isdigit():
            degrees.append(int(text) / 1000)
    if not degrees:
        return
    most = max(degrees)
    if most >= _HOT_C:
        text = f"{most:.0f} C: boards throttle at 80 to 85"
        yield Finding("wrong", "heat", text, "cool it, or look at fewer frames: fps = 5 in [cameras.NAME]")
    else:
        yield Finding("note" if most >= _WARM_C else "good", "heat", f"{most:.0f} C")


def _throttling(device: Device) -> Iterator[Finding]:
    """The firmware's word of a Raspberry Pi: bits 0 to 3 are now, 16 to 19 since it was started."""
    for path in device.glob("sys/devices/platform/soc*/*firmware/get_throttled"):
        text = device.read(str(path.relative_to(device.root))) or ""
        try:
            bits = int(text, 16)
        except ValueError:
            continue
        now = [words for bit, words in _NOW.items() if bits >> bit & 1]
        ever = [words for bit, words in _NOW.items() if bits >> (bit + 16) & 1]
        mend = "use the board's own power supply and a short cable; cool it"
        if now:
            yield Finding("wrong", "power", f"now: {', '.join(now)}", mend)
        elif ever:
            yield Finding("note", "power", f"since it was started: {', '.join(ever)}", mend)
        else:
            yield Finding("good", "power", "never throttled since it was started")
        return


def _processor(device: Device) -> Iterator[Finding]:
    if device.machine != "aarch64":
        return
    if "asimddp" in (device.read("proc/cpuinfo") or "").split():
        yield Finding("good", "processor", "has the int8 dot product: int8 bundles are worth it")
    else:
        text = "has no int8 dot product (a Pi 4's has none): int8 bundles may be slower than float ones"
        yield Finding("note", "processor", text, "gluon-edge tune FLOAT-BUNDLE INT8-BUNDLE")


def _memory(device: Device) -> Iterator[Finding]:
    for line in (device.read("proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1])
            text = f"{free / 1024:.0f} MB to be had"
            if free >= _LEAST_MEMORY_KB:
                yield Finding("good", "memory", text)
            else:
                yield Finding("wrong", "memory", text, "stop other programs, or low_memory = true in [model]")


def _disk(state_dir: Path) -> Iterator[Finding]:
    folder = state_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**20:.0f} MB free for {state_dir}"
    if not os.access(folder, os.W_OK):
        mend = f"sudo install -d -o $USER {state_dir}, or state_dir = in the configuration"
        yield Finding("wrong", "disk", f"{state_dir} cannot be written", mend)
    elif free < _LEAST_FREE:
        yield Finding("wrong", "disk", text, "free some: journalctl --vacuum-size=50M; or a smaller spool.max_bytes")
    else:
        yield Finding("note" if free < _FEW_FREE else "good", "disk", text)
