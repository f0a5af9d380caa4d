"""`gluon-edge audit` and `commands`: a node's own account, and what others have heard against it."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_json, fail

if TYPE_CHECKING:
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of both."""
    text = "Prove that nothing was lost: what watch has heard against the node's receipts and its disk."
    sub = add_command(commands, "audit", audit, text, "heard.jsonl --spool /var/lib/gluon-edge/kerb-1.spool")
    sub.add_argument("log", type=Path, metavar="LOG", help="what `gluon-edge watch --json` has written")
    sub.add_argument("--spool", type=Path, metavar="FILE", help="the spool of a node that is stopped")
    sub.add_argument("--node", metavar="NAME", help="default: every node in the log")
    add_json(sub)

    text = "What a stopped node was told, by its own account: every command done, refused or interrupted."
    sub = add_command(commands, "commands", said, text, "/var/lib/gluon-edge/kerb-1.spool")
    sub.add_argument("spool", type=Path, metavar="SPOOL", help="the spool of a node that is stopped")
    add_json(sub)


def audit(args: argparse.Namespace) -> int:
    """What a subscriber has against the node's own account."""
    from edge.spool.ondisk import waiting_on_disk
    from edge.subscriber.audit import read_log

    waiting = waiting_on_disk(args.spool) if args.spool is not None else []
    accounts = read_log(args.log)
    if args.node is not None:
        accounts = {name: account for name, account in accounts.items() if name == args.node}
    found = {name: account.settle(waiting) for name, account in sorted(accounts.items())}
    if args.json:
        print(json.dumps(found))
    else:
        for name, sums in found.items():
            print(
                f"{name}: {sums['events']} events of {sums['runs']} runs, {sums['duplicates']} twice, "
                f"{sums['receipted']} given up with a receipt, {sums['waiting']} wait on its disk, {sums['missing']} missing"
            )
    if not found:
        return fail(f"{args.log}: holds nothing of {args.node or 'any node'}")
    lost = [f"{name}: {first} to {last}" for name, sums in found.items() for first, last in sums["missing_ranges"]]
    return fail(f"missing without a receipt: {'; '.join(lost[:10])}") if lost else 0


def said(args: argparse.Namespace) -> int:
    """The audit of commands."""
    from edge.spool.ondisk import commands_on_disk

    found = commands_on_disk(args.spool)
    if args.json:
        print(json.dumps({"commands": found}))
    else:
        for c in found:
            print(f"{c['at']} {c['state']:8} {c['topic']} {c['id']}: {c['answer'] or ''}".rstrip())
    return 0
