"""`gluon-edge audit`: a node's own account against what a subscriber has: that nothing was lost, or what was, and why.

A node numbers its events, and every number it will not deliver is in a receipt on `gap`. So within one `boot_id` the
numbers between the first and the last are each here, in a receipt, or missing; the last is proven nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

__all__ = ["Account", "read_log"]

Range = tuple[int, int]


@dataclass
class Account:
    """What was heard of one node, by its runs."""

    seen: dict[str, set[int]] = field(default_factory=dict)
    twice: int = 0
    receipts: list[tuple[int, int, int, str]] = field(default_factory=list)
    uncounted: dict[str, int] = field(default_factory=dict)

    def hear(self, payload: Any) -> None:
        """Takes down an event or a receipt; anything else is nothing to it."""
        schema = str(payload.get("schema", "")) if isinstance(payload, dict) else ""
        if schema.startswith("event/"):
            seen = self.seen.setdefault(str(payload["boot_id"]), set())
            self.twice += payload["seq"] in seen
            seen.add(int(payload["seq"]))
        elif schema.startswith("gap/"):
            if payload["first_seq"] is None:
                self.uncounted[payload["reason"]] = self.uncounted.get(payload["reason"], 0) + payload["count"]
            else:
                receipt = payload["first_seq"], payload["last_seq"], payload["count"], payload["reason"]
                if receipt not in self.receipts:
                    self.receipts.append(receipt)

    def settle(self, waiting: Iterable[int] = ()) -> dict[str, Any]:
        """The sums; `waiting` are numbers that are still on the node's disk."""
        on_disk = set(waiting)
        told = {s for first, last, _, _ in self.receipts for s in range(first, last + 1)}
        missing: list[Range] = []
        receipted = 0
        for seen in self.seen.values():
            gone = sorted(set(range(min(seen), max(seen) + 1)) - seen)
            receipted += sum(s in told for s in gone)
            missing += _ranges([s for s in gone if s not in told and s not in on_disk])
        return {
            "runs": len(self.seen),
            "events": sum(map(len, self.seen.values())),
            "duplicates": self.twice,
            "receipted": receipted,
            "waiting": len(on_disk),
            "missing": sum(last - first + 1 for first, last in missing),
            "missing_ranges": missing[:100],
            "given_up_without_number": self.uncounted,
        }


def read_log(path: Path) -> dict[str, Account]:
    """What `gluon-edge watch --json` has written, by node.

    Raises:
        ConfigError: when the file cannot be read, or holds a line that is no JSON.
    """
    accounts: dict[str, Account] = {}
    try:
        with path.open(encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                payload = _payload(path, number, line)
                if isinstance(payload, dict) and isinstance(payload.get("node"), str):
                    accounts.setdefault(payload["node"], Account()).hear(payload)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from e
    return accounts


def _payload(path: Path, number: int, line: str) -> Any:
    try:
        found = json.loads(line)
    except ValueError as e:
        raise ConfigError(f"{path}: line {number} is no JSON; write it with gluon-edge watch --json") from e
    return found.get("payload", found) if isinstance(found, dict) else None


def _ranges(numbers: list[int]) -> list[Range]:
    found: list[Range] = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1] = found[-1][0], n
        else:
            found.append((n, n))
    return found
