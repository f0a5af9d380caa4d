"""`gluon-edge config check`, `show` and `schema`."""

import argparse
import json
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_config, add_group, add_json, fail

if TYPE_CHECKING:
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of all three."""
    group = add_group(commands, "config", "Check, show or describe configurations.", "check -c agent.toml")
    for name, verb, text in (
        ("check", check, "Everything that is wrong, a line each."),
        ("show", show, "The configuration with every default."),
    ):
        sub = add_command(group, name, verb, text, "-c agent.toml")
        add_config(sub)
        add_json(sub)
    add_json(add_command(group, "schema", schema, "The configuration's JSON Schema.", "> agent.schema.json"))


def check(args: argparse.Namespace) -> int:
    """Everything that is wrong, a line each."""
    from edge.config.file import check_config

    problems = check_config(args.config)
    if args.json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            fail(problem)
        if not problems:
            print(f"{args.config}: good")
    return 1 if problems else 0


def show(args: argparse.Namespace) -> int:
    """The configuration with every default."""
    from edge.config.file import load_config, show_config
    from edge.secret import redact

    config = load_config(args.config)
    print(redact(config.model_dump_json()) if args.json else show_config(config))
    return 0


def schema(_args: argparse.Namespace) -> int:
    """The configuration's JSON Schema."""
    from edge.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
    return 0
