"""A whole Mask R-CNN of the zoo, from its name to its mask AP through the product's commands, and MXNet's beside it.

With random weights nothing is known of what it should see, so the truth is what the bundle itself finds, as COCO
annotations: mask AP must be 1 then, and MXNet's on the same annotations the same; with all outlines moved aside it must fall.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.bundle.bundle import Bundle, read_bundle
from edge.frame import Image
from edge.inference.stages import Stage
from edge.results import Instances, rle
from export.cli import main
from export.pack import drawn_image

__all__ = ["measure"]

_NET = "mask_rcnn_fpn_resnet18_v1b_coco"
_LEAST = 60  # pixels of an outline


def measure() -> list[dict[str, Any]]:
    """A row a truth: the bundle's own finds, and the same moved aside by 24 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder) / "net"
        if main(["convert", _NET, "--random", "1", "--input", "96x128", "-o", str(net)]):
            raise SystemExit("instances: needs MXNet, to build the zoo's net")
        return [_row(net, Path(folder) / f"moved-{moved}", moved) for moved in (0, 24)]


def _row(net: Path, folder: Path, moved: int) -> dict[str, Any]:
    bundle = read_bundle(net)
    drawn = drawn_image(bundle.manifest.input)
    pictures = [drawn, np.ascontiguousarray(drawn[::-1]), np.ascontiguousarray(drawn[:, ::-1])]
    objects = _write_truth(bundle, folder, pictures, moved)
    out = io.StringIO()
    arguments = ["evaluate", str(net), "--data", f"coco:{folder / 'val.json'}:{folder / 'images'}"]
    with contextlib.redirect_stdout(out):
        if main([*arguments, "--against", "mxnet", "--json"]):
            raise SystemExit("instances: evaluate failed")
    found = json.loads(out.getvalue())
    mask_ap, theirs = found["metrics"]["mask_ap"], found["against"]["metrics"]["mask_ap"]
    return {
        "net": f"{_NET}, 96x128, random weights",
        "truth": f"its own finds, moved by {moved} px" if moved else "its own finds",
        "pictures": found["images"],
        "objects": objects,
        "mask_ap": mask_ap,
        "mask_ap50": found["metrics"]["mask_ap50"],
        "box_ap": found["metrics"]["ap"],
        "mask_ap of MXNet": theirs,
    }


def _write_truth(bundle: Bundle, folder: Path, pictures: list[Image], moved: int) -> int:
    stage = Stage(bundle, threshold=0.0)
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for n, picture in enumerate(pictures):
        cv2.imwrite(str(folder / "images" / f"{n}.png"), picture)
        images.append({"id": n, "file_name": f"{n}.png", "height": picture.shape[0], "width": picture.shape[1]})
        found = stage(picture)[0]
        if not isinstance(found, Instances):
            raise TypeError(f"expected Instances, got {type(found).__name__}")
        for i, label in enumerate(found.detections.labels.tolist()):
            mask = np.roll(found.mask(i), moved, axis=1)
            if np.count_nonzero(mask) < _LEAST:
                continue
            x1, y1, x2, y2 = found.detections.boxes[i].tolist()
            own = {"bbox": [x1 + moved, y1, x2 - x1, y2 - y1], "area": int(mask.sum()), "segmentation": rle(mask)}
            common = {"id": len(annotations) + 1, "image_id": n, "category_id": label + 1, "iscrowd": 0}
            annotations.append(common | own)
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(bundle.labels)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "val.json").write_text(json.dumps(document))
    return len(annotations)
