"""The golden sample: a picture and what the model said of it where it was made; this device must say the same.

`golden/input.png` is a camera's picture, before any preparation; `golden/expected.json` is `{"tolerance": {"score",
"box_px", "pixels"}, "threshold", "results": [{"label_id", "score", "box"?, "area"?}], "labels_sha256", "catches"}` with
boxes x1 y1 x2 y2 in pixels of the picture, and what share of its box an object's mask covers; `golden/mask.png` is the class
of each of its pixels, for segmentation. `catches` names the mistakes that the sample has been seen to tell.
"""

import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edge.bundle.bundle import Bundle
from edge.errors import BundleError
from edge.frame import Image
from edge.inference.expectation import ExpectedResults, GoldenReport, compare, expected
from edge.inference.stages import Stage, prepare_for
from edge.results import Result, Segmentation, decode

__all__ = [
    "EXPECTED",
    "INPUT",
    "GoldenReport",
    "check",
    "compare",
    "expected",
    "golden_image",
    "golden_sample",
    "read_expected",
]

INPUT, EXPECTED, MASK = "golden/input.png", "golden/expected.json", "golden/mask.png"


def golden_image(bundle: Bundle) -> Image:
    """The golden picture, uint8 [H, W, 3] BGR.

    Raises:
        BundleError: when the bundle has none.
    """
    if INPUT not in bundle.files:
        raise BundleError(f"{bundle.path}: has no {INPUT}; it cannot be tested")
    return _image(bundle, INPUT, cv2.IMREAD_COLOR)


def golden_sample(image: Image, result: Result, want: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a golden sample: the picture (uint8 [H, W, 3] BGR), what is expected of it, and a mask if there is one."""
    files = {INPUT: _png(image), EXPECTED: (json.dumps(want, indent=2, allow_nan=False) + "\n").encode()}
    return {**files, MASK: _png(result.mask)} if isinstance(result, Segmentation) else files


def check(bundle: Bundle, stage: Stage) -> GoldenReport:
    """Runs the golden sample through the device's own preparation and kernels.

    Raises:
        BundleError: when the bundle has no usable golden sample.
        SessionError: when the runtime fails.
    """
    want = read_expected(bundle)
    tensor, placement = prepare_for(bundle, golden_image(bundle))
    outputs = {name: value[0] for name, value in stage.session.infer(tensor[None]).items()}
    task = bundle.manifest.task
    # What was found just above the threshold there may lie just below it here.
    threshold = max(0.0, want.threshold - want.tolerance.score) if task in {"detection", "instances"} else 0.0
    got = decode(task, outputs, placement, threshold=threshold, top=bundle.manifest.classes)
    mask = _image(bundle, MASK, cv2.IMREAD_GRAYSCALE) if MASK in bundle.files else None
    return compare(want.model_dump(), got, bundle.labels, mask=mask)


def read_expected(bundle: Bundle) -> ExpectedResults:
    """What the golden sample expects.

    Raises:
        BundleError: when the bundle has none, or it is not in its shape.
    """
    try:
        return ExpectedResults.model_validate(bundle.json(EXPECTED))
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "it"
        raise BundleError(f"{bundle.path}: {EXPECTED}: {where}: {first['msg']}") from e


def _png(image: NDArray[np.uint8]) -> bytes:
    ok, data = cv2.imencode(".png", image)
    if not ok:
        raise BundleError("the golden picture cannot be encoded")
    return data.tobytes()


def _image(bundle: Bundle, name: str, how: int) -> NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(bundle.files[name], np.uint8), how)
    except cv2.error:
        image = None
    if image is None:
        raise BundleError(f"{bundle.path}: {name} is not an image")
    return np.asarray(image, np.uint8)
