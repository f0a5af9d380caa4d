"""How each camera is opened: a file here, on the camera's thread; a live camera by a process that can be killed."""

from collections.abc import Mapping

from edge.cameras import open_camera
from edge.cameras.camera import Camera, Opening, Settings
from edge.cameras.reader import Source
from edge.cameras.remote import Remote

__all__ = ["Local", "source_for"]


class Local:
    """Cameras that cannot hang: files, pictures, patterns."""

    def __call__(self, opening: Opening) -> Camera:
        """Opens it in this process."""
        return open_camera(opening)

    @property
    def refused(self) -> Mapping[str, int]:
        """What is in a file is looked at."""
        return {}

    def kill(self) -> None:
        """There is nothing to kill."""

    def close(self) -> None:
        """There is nothing to end."""


def source_for(settings: Settings) -> Source:
    """The way that fits a camera."""
    return Remote(settings) if settings.live else Local()
