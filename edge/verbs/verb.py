"""What the verbs have in common: how their words are added, and how one says that it failed."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.secret import redact

if TYPE_CHECKING:
    from edge.inference.session import SessionOptions

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it nowhere else

__all__ = [
    "add_command",
    "add_config",
    "add_group",
    "add_json",
    "add_service_config",
    "add_session",
    "fail",
    "number",
    "options",
]


def add_command(
    commands: "Commands", name: str, verb: Callable[[argparse.Namespace], int], text: str, example: str
) -> argparse.ArgumentParser:
    """A verb: what it does, and what follows its name in the example."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.epilog = f"example: {sub.prog} {example}"
    sub.add_argument("-v", "--verbose", action="store_true", help="tell more on stderr")
    sub.set_defaults(command=verb)
    return sub


def add_group(commands: "Commands", name: str, text: str, example: str) -> "Commands":
    """Verbs under one name."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.epilog = f"example: {sub.prog} {example}"
    return sub.add_subparsers(metavar="COMMAND", required=True)


def add_config(sub: argparse.ArgumentParser, *, required: bool = True) -> None:
    """`-c`, the agent's configuration."""
    sub.add_argument("-c", "--config", type=Path, required=required, metavar="FILE", help="the configuration, TOML")


def add_service_config(sub: argparse.ArgumentParser, text: str) -> None:
    """`-c` of a verb for the installed service, whose configuration has its place."""
    place = Path("/etc/gluon-edge/agent.toml")
    sub.add_argument("-c", "--config", type=Path, default=place, metavar="FILE", help=text)


def add_json(sub: argparse.ArgumentParser, text: str = "JSON on stdout") -> None:
    """`--json`."""
    sub.add_argument("--json", action="store_true", help=text)


def add_session(sub: argparse.ArgumentParser, provider: str | None = "cpu") -> None:
    """`--provider` and `--threads`; `options` reads them."""
    providers = ("cpu", "xnnpack", "openvino", "cuda", "tensorrt")
    default = provider or "what tune found, else cpu"
    sub.add_argument("--provider", choices=providers, default=provider, help=f"what to run on (default: {default})")
    sub.add_argument("--threads", type=number(int, 0, 256), default=0, metavar="N", help="default: as many as cores")


def options(args: argparse.Namespace) -> "SessionOptions":
    """How to run a model, as the command line says."""
    from edge.inference.session import SessionOptions

    return SessionOptions(providers=(args.provider,), threads=args.threads)


def number(kind: Callable[[str], Any], least: float, most: float = float("inf")) -> Callable[[str], Any]:
    """A number between these, both included."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    parse.__name__ = "number"
    return parse


def fail(message: str) -> int:
    """Tells a person what went wrong, on one line; the status of a command that could not do it."""
    print(f"gluon-edge: error: {' '.join(redact(message).split())}", file=sys.stderr, flush=True)
    return 1
