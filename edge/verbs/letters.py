"""`gluon-edge dead`: what a stopped node could not send."""

# ruff: noqa: T201 - standard output is where a command answers

import argparse
import json
import sys

__all__ = ["change", "look"]


def look(args: argparse.Namespace) -> int:
    """All of them a line each, or some with what they say."""
    from edge.deadletters import dead_letters

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
    from edge import deadletters

    if bool(args.numbers) == args.all:
        print("gluon-edge: name the numbers of dead letters, or --all", file=sys.stderr)
        return 2
    count = {"retry": deadletters.retry, "drop": deadletters.drop}[args.what](args.spool, args.numbers)
    done = {"retry": "queued again; they go when the agent runs", "drop": "thrown away"}[args.what]
    print(json.dumps({args.what: count}) if args.json else f"{count} {done}")
    return 0
