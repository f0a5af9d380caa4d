"""The bundles that are measured: the demo's detector, the real SSD where its weights are at hand, nets of the zoo."""

from __future__ import annotations

import argparse
import functools
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge.bundle.bundle import Bundle
from export import commands
from export.cli import _parser

__all__ = ["ROOT", "Net", "bundle_of", "by_tiles", "nets", "zoo_nets"]

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
# With random weights, fitted so that scores are spread as those of a trained net are.
ZOO = (
    "ssd_512_mobilenet1.0_voc",
    "yolo3_mobilenet1.0_coco",
    "resnet50_v1b",
    "mobilenet1.0",
    "deeplab_resnet50_ade",
    "simple_pose_resnet18_v1b",
)
GLUONCV = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]


@dataclass(frozen=True, slots=True)
class Net:
    """A name for the tables and the arguments of `gluon-export convert` that make its bundle."""

    name: str
    convert: tuple[str, ...]
    images: Path | None = None


def nets() -> list[Net]:
    """Detectors with trained weights; the real SSD only where a developer has it."""
    demo = ROOT / "examples" / "street_ssd"
    found = [Net("street_ssd (demo, 288x384)", _saved(demo / "street_ssd", demo / "labels.txt", "288x384"))]
    data = ROOT.parent / "shared" / "data"
    ssd = data / "weights" / "ssd_mobilenet_vehicle_pedestrian" / "ssd_mobilenet_vehicle_pedestrian"
    if ssd.with_name(f"{ssd.name}-symbol.json").is_file():
        photos = data / "images" / "detection"
        found.append(Net("real SSD-MobileNet (384x672)", _saved(ssd, "vehicle,pedestrian", "384x672"), photos))
    return found


def zoo_nets() -> list[Net]:
    """Nets of the zoo by family; none where MXNet is not installed."""
    return [Net(name, (name, "--random", "1")) for name in ZOO] if find_spec("mxnet") is not None else []


def by_tiles(net: Net) -> Net:
    """The same net, its convolutions computed by Winograd's algorithm where that is worth it."""
    return Net(f"{net.name} by tiles", (*net.convert, "--winograd"), net.images)


def bundle_of(net: Net) -> Bundle:
    """The net's float bundle, converted by the product's own command and kept in build/bench until the converter changes."""
    from edge.bundle.bundle import read_bundle

    out = BUILD / "".join(c if c.isalnum() else "_" for c in net.name)
    made_by = out.with_name(f"{out.name}.converter")
    if not (out / "manifest.json").is_file() or not made_by.is_file() or made_by.read_text() != _converter():
        shutil.rmtree(out, ignore_errors=True)
        args: argparse.Namespace = _parser().parse_args(["convert", *net.convert, "-o", str(out)])
        commands.convert(args)
        made_by.write_text(_converter())
    return read_bundle(out)


@functools.cache
def _converter() -> str:
    """Digest of the converter's source: what an older one has made would be measured for this one's."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "export").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _saved(stem: Path, labels: object, size: str) -> tuple[str, ...]:
    files: Sequence[str] = ("--symbol", f"{stem}-symbol.json", "--params", f"{stem}-0000.params")
    return (*files, "--task", "detection", "--input", size, "--labels", str(labels), *GLUONCV)
