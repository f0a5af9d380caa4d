"""What the zoo holds, told from the names alone: task, input size and normalisation, without importing MXNet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from export.errors import ExportError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "ZooNet", "find", "list_nets"]

Triple = tuple[float, float, float]
IMAGENET_MEAN: Final[Triple] = (0.485, 0.456, 0.406)
IMAGENET_STD: Final[Triple] = (0.229, 0.224, 0.225)
_CIFAR_MEAN: Final[Triple] = (0.4914, 0.4822, 0.4465)
_CIFAR_STD: Final[Triple] = (0.2023, 0.1994, 0.2010)
# AlphaPose subtracts a mean of its own and divides by nothing.
_ALPHA_POSE_MEAN: Final[Triple] = (0.406, 0.457, 0.480)

_CLASSES: Final = {
    "voc": 20, "coco": 80, "ade": 150, "citys": 19, "mhpv1": 18, "kinetics400": 400, "kinetics700": 700,
    "ucf101": 101, "hmdb51": 51, "sthsthv2": 174,
}  # fmt: skip
_VIDEO: Final = "_(kinetics400|kinetics700|ucf101|hmdb51|sthsthv2)"

# The first pattern that a name matches says its task.
_TASKS: Final = (
    (rf"{_VIDEO}|^(i3d|slowfast|c3d|p3d|r2plus1d)_|^resnet(18|50)_v1b_custom$", "action"),
    (r"^(ssd|yolo3|center_net)_|^(faster|doublehead)_rcnn|^custom_faster_rcnn", "detection"),
    (r"^mask_rcnn|^custom_mask_rcnn", "instances"),
    (r"^(fcn|psp|deeplab|icnet|fastscnn|danet)_|^hrnet_.*_s$", "segmentation"),
    (r"pose_", "pose"),
    (r"^monodepth2", "depth"),
    (r"^siamrpn", "tracking"),
    (r"", "classification"),
)
# Sizes are those that GluonCV's own evaluation uses, height x width.
_SIZES: Final = (
    (r"^monodepth2", (192, 640)),
    (r"^cifar_", (32, 32)),
    (r"^ssd_300", (300, 300)),
    (r"^ssd_512|^center_net", (512, 512)),
    (r"^yolo3", (416, 416)),
    (r"rcnn", (600, 800)),
    (r"^fastscnn", (1024, 2048)),
    (r"^(fcn|psp|deeplab|icnet|danet)_|^hrnet_.*_s$", (480, 480)),
    (r"pose_", (256, 192)),
    (r"^(r2plus1d|c3d|p3d)_", (112, 112)),
    (r"^(i3d_)?inceptionv3|^xception", (299, 299)),
    (r"^nasnet", (331, 331)),
    (r"^siamrpn", (287, 287)),
    (r"^resnest(101)", (256, 256)),
    (r"^resnest(200)", (320, 320)),
    (r"^resnest(269)", (416, 416)),
    (r"", (224, 224)),
)


# Pictures that a video net takes at once; SlowFast takes those of both paths in one row.
_FRAMES: Final = (
    (r"^slowfast_4x16", 36),
    (r"^slowfast_8x8", 40),
    (r"^slowfast_16x8", 80),
    (r"^i3d_slow_", 16),
    (r"^i3d", 32),
    (r"^(c3d|p3d|r2plus1d)", 16),
    (r"", None),
)

_UNSUPPORTED: Final = {
    "_int8": "pre-quantized: its weights can only be downloaded",
    "_gn": "GluonCV's GroupNorm gives Reshape an argument that MXNet 1.9 refuses",
}


@dataclass(frozen=True, slots=True)
class ZooNet:
    """One name of the zoo.

    `mean` and `std` apply to values in 0..1, RGB; `classes` is None where the user chooses them; `unsupported` says
    why a net cannot be built here, and is empty where it can; `frames` is how many pictures a video net takes at once.
    """

    name: str
    task: str
    input_hw: tuple[int, int]
    classes: int | None
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    unsupported: str = ""
    frames: int | None = None

    @property
    def bundle_task(self) -> str | None:
        """The task of a bundle that expresses what the net does; None where none does, so that it stays a raw graph.

        An action net that looks at one picture at a time is a classifier of pictures.
        """
        if self.task == "action":
            return "classification" if self.frames is None else None
        return None if self.task in {"depth", "tracking"} else self.task


def list_nets() -> list[ZooNet]:
    """Every name of GluonCV's zoo, in GluonCV's order."""
    return [_describe(name) for name in _names()]


def find(name: str) -> ZooNet:
    """One net by name.

    Raises:
        ExportError: there is no such net; the message names close ones.
    """
    if name not in _names():
        import difflib

        close = ", ".join(difflib.get_close_matches(name, _names(), n=3)) or "see `gluon-export zoo list`"
        raise ExportError(f"there is no zoo net {name!r}; close: {close}")
    return _describe(name)


@cache
def _names() -> tuple[str, ...]:
    return tuple(Path(__file__).with_name("names.txt").read_text(encoding="utf-8").split())


def _describe(name: str) -> ZooNet:
    task = next(found for pattern, found in _TASKS if re.search(pattern, name))
    size = next(found for pattern, found in _SIZES if re.search(pattern, name))
    mean, std = _normalization(name)
    return ZooNet(
        name=name,
        task=task,
        input_hw=size,
        classes=_classes(name, task),
        mean=mean,
        std=std,
        unsupported=next((why for ending, why in _UNSUPPORTED.items() if name.endswith(ending)), ""),
        frames=next(found for pattern, found in _FRAMES if re.search(pattern, name)),
    )


def _normalization(name: str) -> tuple[Triple, Triple]:
    if name.startswith("cifar_"):
        return _CIFAR_MEAN, _CIFAR_STD
    if name.startswith("alpha_pose"):
        return _ALPHA_POSE_MEAN, (1.0, 1.0, 1.0)
    if name.startswith("monodepth2"):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # it normalises by itself
    if name.startswith("siamrpn"):
        return (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)  # pixels as they are, 0..255
    return IMAGENET_MEAN, IMAGENET_STD


def _classes(name: str, task: str) -> int | None:
    if "custom" in name:
        return None
    if name.startswith("cifar_"):
        return 10
    if task in {"pose", "depth", "tracking"}:
        return {"pose": 17}.get(task)
    dataset = next((key for key in _CLASSES if re.search(rf"_{key}(_|$)", name)), None)
    if dataset is None:
        return {"classification": 1000, "segmentation": 19}.get(task)
    count = _CLASSES[dataset]
    if task == "segmentation" and dataset in {"voc", "coco"}:
        return 21
    return count
