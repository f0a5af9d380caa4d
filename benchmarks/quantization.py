"""P6: what int8 costs in accuracy and gains in speed and size on nets with trained weights, stock CPU provider, one thread.

It needs `../shared/data`, which developers have, and calibrates on its COCO photos and video, never on the pictures
that are judged (cifar: on a quarter of them, for there are no others). Float and int8 are timed in turns. Each model
is what `gluon-export quantize` tries first: no layer was put back to float.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.nets import GLUONCV, ROOT, Net, bundle_of
from benchmarks.paired import paired
from edge.bundle.bundle import Bundle
from edge.inference.session import Session, SessionOptions
from edge.inference.stages import Stage, prepare_for
from export.agreement import agree
from export.calibrate import images, read
from export.evaluate import evaluate
from export.quantize import quantize
from export.truth import ClassLabels

__all__ = ["everyday", "measure", "speed_columns"]

DATA = ROOT.parent / "shared" / "data"
_VOC = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,"
    "pottedplant,sheep,sofa,train,tvmonitor"
)
_CIFAR = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"


@dataclass(frozen=True, slots=True)
class _Trained:
    """A net with trained weights; `judge` gives float, int8 and what was held against what."""

    net: Net
    judge: Callable[[Bundle, Bundle], dict[str, Any]]


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    if not DATA.is_dir():
        raise SystemExit("quantization: needs nets with trained weights in ../shared/data")
    rows = []
    pictures = everyday()
    for one in _trained():
        print(f"  {one.net.name}", file=sys.stderr)
        bundle = bundle_of(one.net)
        calibration = images(DATA / "labelled" / "cifar10")[::4] if "cifar" in one.net.name else pictures
        int8 = quantize(bundle, calibration).bundle
        judged = one.judge(bundle, int8)
        rows.append(
            {
                "net": one.net.name,
                "judged by": judged["measure"],
                "float": judged["float"],
                "int8": judged["int8"],
                "size": round(len(int8.model) / len(bundle.model), 4),
                **speed_columns(bundle, int8, calibration),
            }
        )
    return rows


def everyday() -> list[Path]:
    """What the nets with trained weights are calibrated on: photos and a street video, none of which is judged."""
    photos = images(DATA / "labelled" / "coco" / "train2017", limit=24)
    return [*photos, *images(DATA / "video" / "vtest.avi", frames=12)]


def speed_columns(bundle: Bundle, int8: Bundle, pictures: list[Path]) -> dict[str, float]:
    """Both models' CPU time of one thread, in turns: medians, the median of the ratios, and that of the fastest runs.

    Other programs on the machine share its caches and memory, which CPU time does not leave out; the fastest run of each
    is what comes nearest to a machine of its own.
    """
    sessions = [Session(b, SessionOptions(threads=1)) for b in (bundle, int8)]
    tensor = prepare_for(bundle, read(pictures[0]))[0][None]
    calls = dict(zip(("float", "int8"), (partial(s.infer, tensor) for s in sessions), strict=True))
    found = paired(calls, rounds=60, inner=1, clock=time.thread_time)
    return {
        "float_ms": round(found.median_ms["float"], 2),
        "int8_ms": round(found.median_ms["int8"], 2),
        "times_faster": round(found.ratio("float", "int8"), 2),
        "by_fastest_runs": round(min(found.rounds["float"]) / min(found.rounds["int8"]), 2),
    }


def _trained() -> list[_Trained]:
    weights = DATA / "weights"
    ssd = weights / "ssd_mobilenet_vehicle_pedestrian" / "ssd_mobilenet_vehicle_pedestrian"
    deeplab = weights / "deeplabv3_mobilenetv2_voc" / "deeplabv3_mobilenetv2_voc_513"
    squeezenet = weights / "squeezenet1.1" / "squeezenet1.1"
    cifar = weights / "cifar_resnet20_v1" / "cifar_resnet20_v1"
    plain = ["--scale", str(1 / 127.5), "--offset", "-1"]
    cifar_norm = ["--mean", "0.4914,0.4822,0.4465", "--std", "0.2023,0.1994,0.2010"]
    return [
        _Trained(_saved("real SSD-MobileNet", ssd, "detection", "384x672", "vehicle,pedestrian", GLUONCV), _detections),
        _Trained(_saved("DeepLabV3-MobileNetV2", deeplab, "segmentation", "513x513", _VOC, plain), _masks),
        _Trained(
            _saved(
                "squeezenet1.1",
                squeezenet,
                "classification",
                "224x224",
                str(squeezenet.with_name("labels.txt")),
                GLUONCV,
            ),
            _imagenet,
        ),
        _Trained(_saved("cifar_resnet20_v1", cifar, "classification", "32x32", _CIFAR, cifar_norm), _cifar),
    ]


def _saved(name: str, stem: Path, task: str, size: str, labels: str, pixels: list[str]) -> Net:
    files = ("--symbol", f"{stem}-symbol.json", "--params", f"{stem}-0000.params")
    return Net(name, (*files, "--task", task, "--input", size, "--labels", labels, *pixels))


def _detections(bundle: Bundle, int8: Bundle) -> dict[str, Any]:
    """The float model's detections above the threshold that int8 finds too, of equal class and at IoU 0.9."""
    photos = images(DATA / "images" / "detection")
    stages = Stage(bundle), Stage(int8)
    found = [[stage(read(path))[0] for path in photos] for stage in stages]
    numbers = agree(*found, iou=0.9).numbers
    kept, other = int(numbers["matched_90"]), int(numbers["other"])
    return {
        "measure": f"detections above 0.5 on {len(photos)} photos, matched at IoU 0.9",
        "float": int(numbers["reference"]),
        "int8": f"{kept} kept, {other - kept} invented",
    }


def _masks(bundle: Bundle, int8: Bundle) -> dict[str, Any]:
    return _metric(bundle, int8, f"masks:{DATA / 'labelled' / 'voc_segmentation'}", "miou", "mIoU")


def _imagenet(bundle: Bundle, int8: Bundle) -> dict[str, Any]:
    paths = images(DATA / "labelled" / "imagenet")
    truth = [bundle.labels.index(path.stem.partition("_")[2]) for path in paths]
    return _metric(bundle, int8, ClassLabels(tuple(paths), tuple(truth)), "top1", "top-1")


def _cifar(bundle: Bundle, int8: Bundle) -> dict[str, Any]:
    return _metric(bundle, int8, f"imagefolder:{DATA / 'labelled' / 'cifar10'}", "top1", "top-1")


def _metric(bundle: Bundle, int8: Bundle, data: Any, metric: str, name: str) -> dict[str, Any]:
    found = evaluate(int8, data, against=bundle)
    if found.against is None:
        raise RuntimeError("evaluate was asked for two bundles and measured one")
    return {
        "measure": f"{name} on {found.images} images",
        "float": round(found.against.metrics[metric], 4),
        "int8": round(found.metrics[metric], 4),
    }
