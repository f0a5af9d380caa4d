"""Every source of frames, behind one protocol; OPENERS is the table to add to (docs/configuration.md)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edge.cameras.camera import Camera, Opening, Stamp
from edge.cameras.images import open_images
from edge.cameras.stream import open_stream
from edge.cameras.v4l2 import open_v4l2
from edge.cameras.video import open_video

__all__ = ["OPENERS", "Camera", "Opening", "Stamp", "open_camera"]

OPENERS: Mapping[str, Callable[[Opening], Camera]] = MappingProxyType(
    {"images": open_images, "url": open_stream, "v4l2": open_v4l2, "video": open_video}
)


def open_camera(opening: Opening) -> Camera:
    """The camera that the settings ask for, ready to give frames.

    Raises:
        CameraError: when it is away or does not answer in time.
    """
    return OPENERS[opening.settings.inferred_kind](opening)
