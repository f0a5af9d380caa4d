"""`gluon-edge dead`: what a stopped node could not send."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_group, add_json

if TYPE_CHECKING:
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of all four."""
    group = add_group(
        commands, "dead", "What a stopped node could never send.", "list /var/lib/gluon-edge/kerb-1.spool"
    )
    for name, verb, numbers, text in (
        ("list", look, "", "Each with the reason."),
        ("show", look, "+", "What some of them say."),
        ("retry", change, "*", "Queue them once more, as when a broker takes larger messages now."),
        ("drop", change, "*", "Throw them away; a receipt has told that they went."),
    ):
        sub = add_command(group, name, verb, text, "/var/lib/gluon-edge/kerb-1.spool" + " 3" * bool(numbers))
        sub.set_defaults(what=name, numbers=[])
        sub.add_argument("spool", type=Path, metavar="SPOOL", help="the spool of a node that is stopped")
        if numbers:
            sub.add_argument("numbers", type=int, nargs=numbers, metavar="N", help="its number in the list")
        if numbers == "*":
            sub.add_argument("--all", action="store_true", help="every one")
        add_json(sub)


def look(args: argparse.Namespace) -> int:
    """All of them a line each, or some with what they say."""
    from edge.spool.deadletters import dead_letters

    found = dead_letters(args.spool, args.numbers)
    if args.json:
        letters = [
            {
                "number": d.number, "seq": d.seq, "class": d.importance.name, "topic": d.topic, "bytes": len(d.body),
                "reason": d.reason, **({"body": d.body.decode(errors="replace")} if args.numbers else {}),
            }
            for d in found
        ]  # fmt: skip
        print(json.dumps({"dead": letters}))
        return 0
    for d in found:
        print(f"{d.number:4} {d.topic!r} {len(d.body)} bytes, seq {d.seq}: {d.reason}")
        if args.numbers:
            print(ascii(d.body.decode(errors="replace")))
    return 0


def change(args: argparse.Namespace) -> int:
    """Queues them again, or throws them away."""
    from edge.spool import deadletters

    if bool(args.numbers) == args.all:
        print("gluon-edge: name the numbers of dead letters, or --all", file=sys.stderr)
        return 2
    count = {"retry": deadletters.retry, "drop": deadletters.drop}[args.what](args.spool, args.numbers)
    done = {"retry": "queued again; they go when the agent runs", "drop": "thrown away"}[args.what]
    print(json.dumps({args.what: count}) if args.json else f"{count} {done}")
    return 0
