"""P6: how much faster int8 is than float on nets of the zoo (random weights), stock CPU provider, one thread, in turns."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.nets import bundle_of, zoo_nets
from benchmarks.quantization import speed_columns
from export.quantize import quantize

__all__ = ["measure"]

_GOALS = {
    "mobilenet1.0": "2.3x",
    "ssd_512_mobilenet1.0_voc": "2.8x",
    "yolo3_mobilenet1.0_coco": "3.3x",
    "resnet50_v1b": "3.3x",
}


def measure() -> list[dict[str, Any]]:
    """One row a net; calibrated on the bundle's own golden picture, for random weights have no accuracy to keep."""
    rows = []
    for net in zoo_nets():
        if net.name not in _GOALS:
            continue
        print(f"  {net.name}", file=sys.stderr)
        bundle = bundle_of(net)
        picture = [bundle.path / "golden" / "input.png"]
        int8 = quantize(bundle, picture, compensation=False, scheme="u8s8").bundle
        rows.append(
            {
                "net": net.name,
                "size": round(len(int8.model) / len(bundle.model), 4),
                **speed_columns(bundle, int8, picture),
                "goal": _GOALS[net.name],
            }
        )
    if not rows:
        raise SystemExit("int8speed: needs MXNet, to build the zoo's nets")
    return rows
