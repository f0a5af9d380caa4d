"""`gluon-export`: the words of the command line; what they do stands in `export.commands`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import __version__
from edge.errors import EdgeError
from export import values
from export.component.arguments import add_component
from export.errors import ExportError

__all__ = ["main"]

TASKS = ("classification", "detection", "segmentation", "instances", "pose")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 it did not hold or could not be done, 2 usage, 130 Ctrl-C."""
    try:
        args = _parser().parse_args(argv)
        from export import commands

        outcome = getattr(commands, args.command)(args)
        if args.json:
            print(json.dumps(outcome.document, indent=2, ensure_ascii=False, allow_nan=False))
        elif outcome.text:
            print(outcome.text)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (ExportError, EdgeError) as e:
        return _fail(str(e))
    except KeyboardInterrupt:
        print("gluon-export: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as e:
        return _fail(f"{e.filename or 'output'}: {e.strerror or e}")
    except Exception as e:
        if os.environ.get("GLUON_EXPORT_TRACEBACK"):
            raise
        return _fail(
            f"unexpected {type(e).__name__}: {e}; please report it with what GLUON_EXPORT_TRACEBACK=1 in the "
            "environment makes it print"
        )
    return 0 if outcome.ok else 1


def _fail(message: str) -> int:
    print(f"gluon-export: error: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gluon-export",
        description="Turn a GluonCV (Apache MXNet) model into a verified, quantized ONNX bundle for gluon-edge.",
        epilog="example: gluon-export convert ssd_512_mobilenet1.0_voc --random 1 -o build/ssd",
    )
    parser.add_argument("--version", action="version", version=f"gluon-export {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=f"example:\n  gluon-export {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument("--json", action="store_true", help="one JSON document on stdout")
        return sub

    _zoo(add)
    _convert(add)
    _quantize(add)
    _verify(add)
    _evaluate(add)
    _pack(add)
    _keygen(add)
    add_component(add)
    inspect = add("inspect", "what is in a bundle, an ONNX file or an MXNet symbol", "inspect build/ssd")
    inspect.add_argument("path", type=Path, metavar="BUNDLE|MODEL.onnx|SYMBOL.json")
    return parser


_Add = Callable[[str, str, str], argparse.ArgumentParser]


def _zoo(add: _Add) -> None:
    sub = add("zoo", "the nets of GluonCV's zoo", "zoo list --task detection")
    sub.add_argument("what", choices=["list"])
    sub.add_argument("--task", choices=TASKS, help="only the nets for this task")


def _convert(add: _Add) -> None:
    sub = add(
        "convert",
        "make a bundle of a zoo net or of a saved MXNet model",
        "convert resnet50_v1b --pretrained -o build/resnet50\n"
        "  gluon-export convert --symbol net-symbol.json --params net-0000.params --task detection \\\n"
        "      --input 512x512 --labels person,car --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o build/net",
    )
    sub.add_argument("net", nargs="?", metavar="NAME", help="a zoo net; see 'gluon-export zoo list'")
    weights = sub.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", help="GluonCV's published weights (cached, checked)")
    weights.add_argument("--params", type=Path, metavar="FILE", help="your weights")
    weights.add_argument("--random", type=int, metavar="SEED", help="random weights, to try speed")
    sub.add_argument("--symbol", type=Path, metavar="S.json", help="a saved model's symbol, with --params")
    sub.add_argument(
        "--sagemaker", type=Path, metavar="model.tar.gz", help="what a built-in algorithm of SageMaker left behind"
    )
    sub.add_argument("--task", choices=TASKS, help="what the net does (zoo nets know)")
    sub.add_argument("--input", type=values.size, metavar="HxW", help="input size, height x width (zoo nets know)")
    sub.add_argument("--labels", metavar="FILE|a,b,c", help="class names: a file, one a line, or a list")
    sub.add_argument("--mean", type=values.triple, metavar="r,g,b", help="subtracted after division by 255")
    sub.add_argument("--std", type=values.triple, metavar="r,g,b", help="divided by after that")
    sub.add_argument("--scale", type=values.finite, help="instead: input = pixel * scale + offset")
    sub.add_argument("--offset", type=values.finite, help="see --scale")
    sub.add_argument("--resize", choices=["stretch", "letterbox", "crop"], help="how a frame becomes the input")
    sub.add_argument("--threshold", type=values.unit, help="least score that counts (default 0.5)")
    sub.add_argument("--name", type=values.name, help="the bundle's name (default: the net's)")
    sub.add_argument(
        "--winograd",
        action="store_true",
        help="compute 2x2 and 3x3 convolutions by Winograd's algorithm where that is faster on CPUs; more memory",
    )
    sub.add_argument("--raw", action="store_true", help="one ONNX file of the bare graph: clips, depth, trackers")
    sub.add_argument(
        "--shape",
        type=values.shape,
        action="append",
        metavar="NAME=1x3x64x64",
        help="with --raw: an input that is no picture",
    )
    sub.add_argument("--golden", type=Path, metavar="IMAGE", help="picture for the bundle's self-test (default: drawn)")
    _out(sub, "DIR")


def _quantize(add: _Add) -> None:
    sub = add(
        "quantize",
        "make a smaller, faster bundle, and prove what it kept",
        "quantize build/ssd --calibration photos/ -o build/ssd-int8\n"
        "  gluon-export quantize build/ssd --calibration day.mp4 --calibration night.mp4 --scheme both -o build/ssd-int8",
    )
    sub.add_argument("bundle", type=Path, metavar="BUNDLE")
    sub.add_argument(
        "--calibration",
        type=Path,
        required=True,
        action="append",
        metavar="IMAGES",
        help="folder or video like the camera's view; may be given several times",
    )
    sub.add_argument("--data", help="labelled data for the gate: coco:ANNOTATIONS.json:IMAGES, imagefolder:DIR, ...")
    sub.add_argument(
        "--max-drop", type=values.unit, default=0.01, help="how much of the metric may be lost (default 0.01)"
    )
    sub.add_argument("--precision", choices=["int8", "fp16"], default="int8", help="fp16 is for GPUs")
    sub.add_argument(
        "--scheme",
        choices=["auto", "u8s8", "s8s8", "both"],
        default="auto",
        help="u8s8 for x86, s8s8 for ARM (auto: this machine), both as DIR-u8s8 and DIR-s8s8",
    )
    sub.add_argument(
        "--kernels",
        choices=["onnxruntime", "openvino", "any"],
        default="onnxruntime",
        help="whose the graph is shaped for on x86; openvino: for devices that have it; any: left as it is",
    )
    sub.add_argument(
        "--effort",
        type=values.positive,
        default=1.0,
        metavar="TIMES",
        help="how much to look at of a net that takes seconds a picture: 4 is four times as much, and as long (default 1)",
    )
    sub.add_argument("--force", action="store_true", help="write the bundle even if the gate says no")
    _out(sub, "DIR")


def _verify(add: _Add) -> None:
    sub = add(
        "verify",
        "compare a bundle with MXNet where its source is at hand, else with its golden sample",
        "verify build/ssd --images photos/",
    )
    sub.add_argument("bundle", type=Path, metavar="BUNDLE")
    sub.add_argument("--images", type=Path, metavar="IMAGES", help="pictures to compare on (default: drawn ones)")


def _evaluate(add: _Add) -> None:
    sub = add(
        "evaluate",
        "measure a bundle on labelled data, through the device's own code",
        "evaluate build/ssd --data coco:val.json:images/ --against build/ssd-int8",
    )
    sub.add_argument("bundle", type=Path, metavar="BUNDLE")
    sub.add_argument(
        "--data", required=True, help="imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR or masks:DIR"
    )
    sub.add_argument(
        "--against",
        metavar="BUNDLE|mxnet",
        help="measure this one too, on the same images; mxnet: the net that the bundle was made from",
    )
    sub.add_argument(
        "--alias",
        type=values.alias,
        action="append",
        default=[],
        metavar="DATA=LABEL",
        help="what the data calls DATA is the bundle's LABEL; repeatable",
    )
    sub.add_argument(
        "--detector", type=Path, metavar="BUNDLE", help="for a pose net: who finds the persons (default: the data says)"
    )


def _pack(add: _Add) -> None:
    sub = add(
        "pack",
        "one zip of a bundle for the devices, the same bytes each time",
        "pack build/ssd-int8 -o ssd-int8.zip --sign keys/release.key --release 1.2.0",
    )
    sub.add_argument("bundle", type=Path, metavar="BUNDLE")
    sub.add_argument(
        "--sign", type=Path, action="append", default=[], metavar="KEY", help="a private key (see keygen); repeatable"
    )
    sub.add_argument("--release", metavar="X.Y.Z", help="the version; a device takes none older than it has had")
    sub.add_argument(
        "--for-node",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only for nodes of this name, such as 'kerb-*'; repeatable",
    )
    sub.add_argument(
        "--for-machine",
        action="append",
        default=[],
        metavar="MACHINE",
        help="only for this processor, such as aarch64; repeatable",
    )
    _out(sub, "FILE.zip")


def _keygen(add: _Add) -> None:
    sub = add("keygen", "a pair of keys to sign bundles with: NAME.key and NAME.pub", "keygen keys/release")
    sub.add_argument("name", type=Path, metavar="NAME")


def _out(sub: argparse.ArgumentParser, metavar: str) -> None:
    sub.add_argument("-o", "--output", type=Path, required=True, metavar=metavar)
