"""The names of what a zoo net tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from export.zoo.runtime import gluoncv, quiet
from export.zoo.table import ZooNet

__all__ = ["labels_of"]

_CIFAR10: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_KEYPOINTS: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip


def labels_of(net: Any, entry: ZooNet, classes: Sequence[str] | None) -> list[str]:
    """The class names in the order of the net's outputs, numbers where nobody has named them."""
    named = getattr(net, "classes", None)
    if classes is not None:
        found = list(classes)
    elif isinstance(named, (list, tuple)) and all(isinstance(item, str) for item in named):
        found = list(named)
    elif entry.task == "pose":
        found = list(_KEYPOINTS)
    elif entry.name.startswith("cifar_"):
        found = list(_CIFAR10)
    elif entry.task == "classification" and entry.classes == 1000:
        found = _imagenet()
    elif entry.task == "segmentation":
        found = _segmentation(entry)
    elif entry.task == "action":
        found = _actions(entry)
    else:
        found = [str(number) for number in range(entry.classes or 0)]
    return found


def _imagenet() -> list[str]:
    gluoncv()
    with quiet():
        from gluoncv.data import ImageNet1kAttr

        return list(ImageNet1kAttr().classes)


def _segmentation(entry: ZooNet) -> list[str]:
    gluoncv()
    with quiet():
        from gluoncv import data

    known = {"voc": "VOC", "coco": "COCO", "ade": "ADE20K", "citys": "City", "mhpv1": "MHPV1"}
    key = next((key for key in known if f"_{key}" in entry.name), "citys")
    found = getattr(getattr(data, f"{known[key]}Segmentation"), "CLASSES", ())
    if len(found) == entry.classes:
        return list(found)
    return [str(number) for number in range(entry.classes or 0)]


def _actions(entry: ZooNet) -> list[str]:
    gluoncv()
    with quiet():
        from gluoncv import data

        known = {
            "kinetics400": "Kinetics400", "kinetics700": "Kinetics700", "ucf101": "UCF101", "hmdb51": "HMDB51",
            "sthsthv2": "SomethingSomethingV2",
        }  # fmt: skip
        key = next((key for key in known if f"_{key}" in entry.name), None)
        found = [] if key is None else list(getattr(data, f"{known[key]}Attr")().classes)
    return found if len(found) == entry.classes else [str(number) for number in range(entry.classes or 0)]
