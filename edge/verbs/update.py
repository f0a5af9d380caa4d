"""`gluon-edge update`: a new model for the node."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_json, add_service_config, fail

if TYPE_CHECKING:
    from edge.updates.state import Update
    from edge.verbs.verb import Commands

__all__ = ["add"]

_GOOD = frozenset({"committed", "watching"})


def add(commands: "Commands") -> None:
    """The words of the verb."""
    text = "Bring a new model to the node: verified, proven beside the old one, switched to, and watched."
    sub = add_command(commands, "update", update, text, "street.zip -c /etc/gluon-edge/agent.toml")
    sub.add_argument("what", metavar="FILE.zip|URL", help="a bundle's zip, or where it is: https://...")
    sub.add_argument("--sha256", metavar="HEX", help="what a URL's archive must have")
    add_service_config(sub, "the node's configuration (default: /etc/gluon-edge/agent.toml)")
    sub.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where the agent keeps its state, if not as configured"
    )
    add_json(sub)


def update(args: argparse.Namespace) -> int:
    """A new model for the node."""
    from edge.config.file import load_config
    from edge.updates.handover import bring

    config = load_config(args.config)
    state = args.state_dir or config.state_dir or _state_of_the_service()
    ended = bring(
        config.model_copy(update={"state_dir": state}),
        args.what,
        args.sha256,
        _tell,
    )
    good = ended.phase in _GOOD
    if args.json:
        print(json.dumps({"ok": good, **ended.model_dump(mode="json", exclude={"request": {"url"}})}))
    elif good:
        later = "" if ended.phase == "committed" else "; no agent runs: the next one that starts watches it"
        print(f"{ended.name} {ended.version} is installed{later}")
    return 0 if good else fail(f"{ended.phase}: {ended.reason}")


def _tell(update: "Update") -> None:
    if not update.over or update.phase in _GOOD:  # else it is the error that everything ends with
        print(f"{update.phase}{f': {update.reason}' if update.reason else ''}", file=sys.stderr, flush=True)


def _state_of_the_service() -> Path | None:
    """The state of gluon-edge.service when that is installed here and we are not it."""
    folder = Path("/var/lib/gluon-edge")
    return folder if "STATE_DIRECTORY" not in os.environ and folder.is_dir() else None
