"""Parts of a camera's view that have a name: which of them an object stands in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.scene.sighting import Box

__all__ = ["Zone"]

_EDGE = 0.01


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon, its corners x, y as shares of the frame; `label_ids` that it asks for, all when None.

    An object is where it stands: at the middle of its box's lower edge.
    """

    name: str
    corners: Sequence[tuple[float, float]]
    label_ids: frozenset[int] | None = None
    _polygon: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_polygon", np.array(self.corners, np.float32).reshape(-1, 1, 2))

    def holds(self, label_id: int, box: Box | None, *, was_in: bool = False) -> bool:
        """Whether an object is in it; one that `was_in` it leaves a little behind the edge, so that none flickers."""
        if box is None or (self.label_ids is not None and label_id not in self.label_ids):
            return False
        foot = (box[0] + box[2]) / 2, box[3]
        inside_by = cv2.pointPolygonTest(self._polygon, foot, measureDist=True)
        return inside_by >= (-_EDGE if was_in else 0.0)
