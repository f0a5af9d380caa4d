"""Where a joint is: GluonCV's rule written once more in numpy, and how far a place found is from what it allows."""

from __future__ import annotations

import numpy as np

from export.graph import Array

__all__ = ["place_error"]

_QUARTER = 0.25


def place_error(heat: Array, places: Array, picture_hw: tuple[int, int], *, slack: float) -> float:
    """The largest distance of a joint from where GluonCV's `get_final_preds` may put it, in pixels of the picture.

    Ties are explicit: any cell within `slack` of the peak may be taken for it; a step towards the higher neighbour may
    go either way, or not be taken, where the two neighbours lie within `slack` of each other; and a joint whose peak
    lies within `slack` of zero may be given up, at 0, 0.

    Args:
        heat: MXNet's heatmaps [J, H, W].
        places: x and y found [J, 2], pixels of the picture.
        picture_hw: its height and width.
        slack: by how much two values of a heatmap may differ and still be called equal.
    """
    height, width = heat.shape[1:]
    pixels = np.asarray([picture_hw[1] / width, picture_hw[0] / height])
    pairs = zip(heat.astype(np.float64), places / pixels, strict=True)
    # numpy's maximum keeps a NaN, Python's may lose it.
    return float(np.max([_distance(*pair, pixels, slack) for pair in pairs], initial=0))


def _distance(heat: Array, place: Array, pixels: Array, slack: float) -> float:
    height, width = heat.shape
    peak = float(heat.max())
    allowed = [np.zeros((1, 2, 1))] if peak <= slack else []
    if peak > -slack:
        y, x = np.nonzero(heat >= peak - slack)
        inside = (x > 1) & (y > 1) & (x < width - 1) & (y < height - 1)
        near = [
            np.clip(at + step, 0, size - 1)
            for at, step, size in ((x, 1, width), (x, -1, width), (y, 1, height), (y, -1, height))
        ]
        rise = np.stack([heat[y, near[0]] - heat[y, near[1]], heat[near[2], x] - heat[near[3], x]], 1)
        # Each direction's possible steps [cells, 2, 3]; a step that is certain stands there three times.
        either = np.abs(rise)[:, :, None] <= slack
        steps = np.where(either, np.asarray([-_QUARTER, 0, _QUARTER]), np.sign(rise)[:, :, None] * _QUARTER)
        allowed.append(np.stack([x, y], 1)[:, :, None] + steps * inside[:, None, None])
    # The best step in each direction, then the worse direction, then the best cell.
    return float(np.min([(np.abs(cells - place[:, None]).min(2) * pixels).max(1).min() for cells in allowed]))
