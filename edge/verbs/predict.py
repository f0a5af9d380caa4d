"""`gluon-edge predict`: what a model says of pictures."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.verbs.verb import add_command, add_json, add_session, fail, number, options

if TYPE_CHECKING:
    from edge.inference.crops import Looker
    from edge.inference.stages import Stage
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of the verb."""
    sub = add_command(commands, "predict", predict, "What a model says of pictures.", "ssd.zip street.jpg --draw out/")
    sub.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
    sub.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    sub.add_argument("--draw", type=Path, metavar="DIR", help="draw the results into this folder")
    what = "for a pose net: who finds the persons (default: a picture is one person)"
    sub.add_argument("--detector", type=Path, metavar="BUNDLE", help=what)
    sub.add_argument("--threshold", type=number(float, 0.0, 1.0), metavar="SCORE", help="least score, 0 to 1")
    add_json(sub, "a JSON object an image, a line each")
    add_session(sub)


def predict(args: argparse.Namespace) -> int:
    """One-off inference; every image that can be read is, and the status tells whether all could."""
    from edge.bundle.bundle import read_bundle
    from edge.errors import ImageError
    from edge.inference.crops import OnPersons
    from edge.inference.predict import drawing_names, look
    from edge.inference.stages import Stage

    stage = Stage(read_bundle(args.bundle), options(args), threshold=args.threshold)
    _tell_what_fell_away(stage)
    looker: Looker = stage
    if args.detector is not None:
        looker = OnPersons(stage, Stage(read_bundle(args.detector), options(args)))
    drawings: Sequence[Path | None] = [None] * len(args.images)
    if args.draw is not None:
        drawings = drawing_names(args.draw, args.images)
    status = 0
    for path, drawing in zip(args.images, drawings, strict=True):
        try:
            found = look(looker, path, draw_to=drawing)
        except ImageError as e:
            status = fail(str(e))
            continue
        if args.json:
            print(json.dumps(found, ensure_ascii=False, allow_nan=False), flush=True)
        else:
            _print_prediction(found, drawing)
    return status


def _tell_what_fell_away(stage: "Stage") -> None:
    for provider, why in stage.session.fell_away.items():
        print(f"gluon-edge: {provider} fell away: {why}; running on {stage.session.provider}", file=sys.stderr)


def _print_prediction(found: dict[str, Any], drawing: Path | None) -> None:
    print(f"{found['image']}: {found['width']}x{found['height']}, {len(found['results'])} found")
    for result in found["results"]:
        box = "  box " + " ".join(f"{v:.1f}" for v in result["box"]) if "box" in result else ""
        print(f"  {result['label']:20}  {result['score']:.2f}{box}")
    if drawing is not None:
        print(f"  drawn to {drawing}", flush=True)
