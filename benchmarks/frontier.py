"""What each layer left in float buys: the real SSD in 8 bits with none, one, two, four... layers put back, as the gate would.

It needs `../shared/data`, which developers have. The order is that of `quantize`: those first that do most harm alone
for the work they are, as seen on the calibration pictures; the photos that are counted have no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.nets import bundle_of, nets
from benchmarks.quantization import everyday, speed_columns
from edge.inference.stages import Stage
from export.agreement import agree
from export.calibrate import images, read
from export.putback import sensitivities
from export.quantize import calibrate

__all__ = ["measure"]

_COUNTS = (0, 1, 2, 4, 8, 16)


def measure() -> list[dict[str, Any]]:
    """A row a number of layers in float."""
    return list(_rows())


def _rows() -> Iterator[dict[str, Any]]:
    net = next((n for n in nets() if n.name.startswith("real SSD")), None)
    if net is None or net.images is None:
        raise SystemExit("frontier: needs the real SSD of ../shared/data")
    bundle, pictures = bundle_of(net), everyday()
    photos = [read(path) for path in images(net.images)]
    exact = Stage(bundle)
    said = [exact(photo)[0] for photo in photos]
    calibrated = calibrate(bundle, pictures)
    ranking = sensitivities(calibrated, pictures)
    for count in _COUNTS:
        made = calibrated.quantize([one.layer for one in ranking[:count]]).bundle
        stage = Stage(made)
        numbers = agree(said, [stage(photo)[0] for photo in photos], iou=0.9).numbers
        kept, found = int(numbers["matched_90"]), int(numbers["other"])
        speed = speed_columns(bundle, made, pictures)
        yield {
            "layers in float": count,
            "of the work": f"{sum(one.work for one in ranking[:count]):.1%}",
            "kept": f"{kept} of {int(numbers['reference'])}",
            "invented": found - kept,
            "size": round(len(made.model) / len(bundle.model), 3),
            "times_faster": speed["times_faster"],
            "by_fastest_runs": speed["by_fastest_runs"],
        }
