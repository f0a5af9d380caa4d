"""Every source of frames, behind one protocol; `OPENERS` says who opens which kind (docs/cameras.md).

`reader` keeps one going, with `ladder` when it fails and `process` when it may hang; `latest` is the slot where its
newest frame waits for the model, `motion` lets it rest while nothing moves; `cameraset` is all of them.
"""

from importlib import import_module

from edge.cameras.camera import Camera, Opener, Opening, Settings
from edge.cameras.stop import NeverStop

__all__ = ["OPENERS", "Camera", "NeverStop", "Opener", "Opening", "Settings", "open_camera"]

# By name, not imported: a reader's process loads the libraries of its own camera only.
OPENERS = {
    "gstreamer": "edge.cameras.gstreamer:open_gstreamer",
    "images": "edge.cameras.images:open_images",
    "pattern": "edge.cameras.pattern:open_pattern",
    "picamera": "edge.cameras.picamera:open_picamera",
    "url": "edge.cameras.stream:open_stream",
    "v4l2": "edge.cameras.v4l2:open_v4l2",
    "video": "edge.cameras.video:open_video",
}


def open_camera(opening: Opening) -> Camera:
    """The camera that the settings ask for, ready to give frames, read in this process.

    Raises:
        CameraError: when it is away or does not answer in time.
    """
    module, _, name = OPENERS[opening.settings.kind].partition(":")
    open_kind: Opener = getattr(import_module(module), name)
    return open_kind(opening)
