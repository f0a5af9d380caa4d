"""Cameras: are they there, and may this user use them."""

import re
from collections.abc import Iterator

from edge.doctor.finding import Device, Finding

__all__ = ["check_cameras"]


def check_cameras(device: Device) -> Iterator[Finding]:
    """V4L2 devices and their permissions; picamera2 on a Raspberry Pi."""
    nodes = [p for p in device.glob("dev/video*") if re.fullmatch(r"video[0-9]+", p.name)]
    closed = [f"/dev/{p.name}" for p in nodes if not device.may_use(p)]
    if closed:
        text = f"{', '.join(closed)}: this user may not use them"
        mend = "sudo usermod -aG video $USER, then log in again (for the service: User= in the group video)"
        yield Finding("wrong", "camera", text, mend)
    elif nodes:
        names = sorted(p.name for p in device.glob("dev/v4l/by-id/*-video-index0"))
        stable = f"; by names that stay: {', '.join(names)}" if names else ""
        yield Finding("good", "camera", f"{len(nodes)} video devices{stable}")
    else:
        yield Finding("note", "camera", "no /dev/video* here; streams and files do without")
    if device.raspberry_pi and not device.can_import("picamera2"):
        mend = (
            "sudo apt install -y python3-picamera2, and make the environment with "
            "python3 -m venv --system-site-packages"
        )
        yield Finding("note", "camera", "picamera2 is not to be seen from here; a ribbon camera needs it", mend)
