"""`gluon-edge doctor`: what is wrong on this device, and the command that mends it."""

from pathlib import Path

from edge.config.state import default_state_dir
from edge.doctor.cameras import check_cameras
from edge.doctor.finding import Device, Finding
from edge.doctor.hardware import check_hardware
from edge.doctor.node import check_configuration, check_node
from edge.doctor.packages import check_packages

__all__ = ["Device", "Finding", "examine"]


def examine(device: Device, config: Path | None = None) -> list[Finding]:
    """Looks at the device, and at what a configuration names when one is given.

    Raises:
        ConfigError: when the configuration cannot be read at all.
    """
    loaded, found = check_configuration(config) if config is not None else (None, [])
    state_dir = loaded.state_folder if loaded is not None else default_state_dir()
    found += [*check_packages(device), *check_cameras(device), *check_hardware(device, state_dir)]
    if loaded is not None:
        found += check_node(loaded, state_dir)
    return found
