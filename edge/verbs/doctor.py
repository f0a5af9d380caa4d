"""`gluon-edge doctor`: what is wrong on this device, and the command that mends it."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_config, add_json, fail

if TYPE_CHECKING:
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of the verb."""
    text = "What is wrong on this device, and the command that mends it."
    sub = add_command(commands, "doctor", doctor, text, "-c agent.toml")
    add_config(sub, required=False)
    add_json(sub)


def doctor(args: argparse.Namespace) -> int:
    """What is wrong here, and the command that mends it."""
    from edge.doctor import Device, examine

    found = examine(Device(), args.config)
    wrong = sum(f.verdict == "wrong" for f in found)
    if args.json:
        print(json.dumps({"ok": not wrong, "findings": [asdict(f) for f in found]}))
    else:
        signs = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}
        for finding in found:
            print(f"{signs[finding.verdict]}  {finding.subject}: {finding.text}")
            if finding.mend is not None:
                print(f"         {finding.mend}")
    return fail(f"{wrong} things are wrong here") if wrong else 0
