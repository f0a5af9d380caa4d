"""The words of `gluon-export component`; what they do stands in export.component.verbs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["add_component"]

Add = Callable[[str, str, str], argparse.ArgumentParser]


def add_component(add: Add) -> None:
    """The words of the command line."""
    sub = add(
        "component",
        "components of AWS IoT Greengrass: build agent and model, or check any recipe",
        "component lint recipe.yaml\n  gluon-export component build build/ssd-int8 --python 3.11 -o greengrass-build",
    )
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = _action(actions, "lint", "what is wrong with a recipe, anybody's", "lint recipe.yaml")
    check.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE", help="YAML or JSON")
    check.add_argument(
        "--nucleus", choices=["both", "classic", "lite"], default="both", help="where it is to run (default: both)"
    )
    check.add_argument("--strict", action="store_true", help="warnings count as errors")
    make = _action(
        actions, "build", "artifacts and recipes of agent and model", "build build/ssd-int8 -o greengrass-build"
    )
    make.add_argument("bundle", type=Path, metavar="BUNDLE")
    make.add_argument("--name", default="com.example.GluonEdge", help="the agent's component (default: %(default)s)")
    make.add_argument("--publisher", default="you")
    make.add_argument("--bucket", default="BUCKET_NAME", help="the S3 bucket that the artifacts will lie in")
    make.add_argument(
        "--arch", action="append", choices=["aarch64", "amd64"], help="repeatable (default: both)", dest="architectures"
    )
    make.add_argument(
        "--python", action="append", metavar="3.N", dest="pythons", help="python3 of the devices; repeatable (3.11)"
    )
    make.add_argument("--wheels", type=Path, metavar="DIR", help="take the wheels from here, without a network")
    make.add_argument("--sign", type=Path, action="append", default=[], metavar="KEY", help="sign the bundle")
    make.add_argument("--to", choices=["iot-core", "local"], default="iot-core", dest="destination")
    make.add_argument("--aws-ml-topic", metavar="TOPIC", help="also let it publish here: payload = aws-ml-v1")
    make.add_argument("--configuration", type=Path, metavar="FILE", help="DefaultConfiguration, YAML or JSON")
    make.add_argument("--gdk", choices=["agent", "model"], help="one component, as AWS's GDK wants it")
    make.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")


def _action(actions: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: gluon-export component {example}",
    )
    sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout")
    return sub
