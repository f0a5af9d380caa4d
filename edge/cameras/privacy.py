"""Privacy masks: parts of a camera's picture that nothing behind this line ever sees, neither a model nor an encoder."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from edge.cameras.camera import Camera, Opening, Still, still_of
from edge.cameras.reader import Source
from edge.frame import Image

__all__ = ["Masked", "blacken"]

Polygon = Sequence[tuple[float, float]]


def blacken(image: Image, polygons: Sequence[Polygon]) -> Image:
    """The image uint8 [H, W, 3] with the polygons filled with black, in place where it may be written.

    Corners are x, y as shares of width and height, 0 to 1; what is on an edge is covered.
    """
    if not image.flags.writeable:
        image = image.copy()
    height, width = image.shape[:2]
    scale = np.array([width, height])
    for polygon in polygons:
        corners = np.round(np.asarray(polygon, np.float64) * scale).astype(np.int32)
        cv2.fillPoly(image, [corners], (0, 0, 0))
    return image


class Masked:
    """A source whose cameras give masked pictures only."""

    def __init__(self, source: Source, polygons: Sequence[Polygon]) -> None:
        self._source = source
        self._polygons = polygons

    def __call__(self, opening: Opening) -> Camera:
        """Opens it."""
        return _MaskedCamera(self._source(opening), self._polygons)

    @property
    def refused(self) -> Mapping[str, int]:
        """The source's."""
        return self._source.refused

    def kill(self) -> None:
        """Kills the process that reads it, where there is one."""
        self._source.kill()

    def close(self) -> None:
        """Ends everything that opening it has started."""
        self._source.close()


class _MaskedCamera:
    def __init__(self, camera: Camera, polygons: Sequence[Polygon]) -> None:
        self._camera = camera
        self._polygons = polygons

    def still(self) -> Still | None:
        still = still_of(self._camera)
        return None if still is None else lambda: blacken(still(), self._polygons)

    def grab(self) -> int | None:
        return self._camera.grab()

    def retrieve(self, into: Image | None = None) -> Image:
        return blacken(self._camera.retrieve(into), self._polygons)

    def close(self) -> None:
        self._camera.close()
