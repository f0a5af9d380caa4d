"""`gluon-edge demo`: a broker, the agent and a subscriber at once, on this machine."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, number

if TYPE_CHECKING:
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of the verb."""
    text = "A broker, the agent and a subscriber at once, on this machine."
    sub = add_command(commands, "demo", demo, text, "ssd.zip --source 0")
    sub.add_argument(
        "bundle", type=Path, nargs="?", metavar="BUNDLE",
        help="a bundle's folder or zip (default: one that comes along, for 15 s of the pattern camera)",
    )  # fmt: skip
    sub.add_argument("--source", help="a video, a folder of images, a camera's index or URL (default: 0)")
    sub.add_argument("--start", type=number(float, 0.0), default=0.0, metavar="S", help="skip S seconds of a video")
    sub.add_argument("--seconds", type=number(float, 0.1), metavar="S", help="stop after S seconds")
    sub.add_argument(
        "-o", "--output", type=Path, default=Path("gluon-edge-demo"), metavar="DIR", help="for the pictures"
    )


def demo(args: argparse.Namespace) -> int:
    """Everything at once, on this machine."""
    from edge.demo.demo import SHIPPED, DemoOptions
    from edge.demo.demo import demo as show
    from edge.errors import ConfigError

    bundle, source, seconds = args.bundle, args.source, args.seconds
    if bundle is None:
        if source not in {None, "pattern"}:
            raise ConfigError(
                "the bundle that comes along knows the pattern camera only; name one: gluon-edge demo BUNDLE"
            )
        bundle, source, seconds = SHIPPED, "pattern", seconds or 15.0
    return show(DemoOptions(bundle, source or "0", args.output, args.start, seconds))
