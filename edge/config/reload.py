"""What a new configuration asks of an agent that runs: nothing to stop, some cameras opened anew, or a start from anew."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Plan", "plan"]

_AT_ONCE = re.compile(
    r"model\.threshold|events\.(?!follow)\w+|snapshots\.(?!enabled)\w+|health\.every_s|cameras\.[a-z0-9_-]+\.motion\.\w+"
)
# Not `pace`, `loop` and `start_s`, which are for files; nor `zones`, and `motion` as a whole, which brings a switch.
_CAMERA = re.compile(
    r"cameras\.([a-z0-9_-]+)\."
    r"(source|kind|fps|width|height|snapshot_width|snapshot_height|username|password_file"
    r"|open_timeout_s|read_timeout_s|frozen_s|privacy|enabled)"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`live`: the agent can go on.

    `cameras` are to be opened anew for it, those in `paced` at another rate; `switched` are to be switched on or off.
    """

    live: bool
    cameras: frozenset[str] = frozenset()
    paced: frozenset[str] = frozenset()
    switched: frozenset[str] = frozenset()


def plan(changed: Sequence[str]) -> Plan:
    """What the keys that differ ask for, as `edge.config.file.changes` names them."""
    opened: set[str] = set()
    paced: set[str] = set()
    switched: set[str] = set()
    for key in changed:
        camera = _CAMERA.fullmatch(key)
        if camera is not None:
            name, what = camera.groups()
            (switched if what == "enabled" else opened).add(name)
            if what == "fps":
                paced.add(name)
        elif not _AT_ONCE.fullmatch(key):
            return Plan(live=False)
    return Plan(True, frozenset(opened), frozenset(paced), frozenset(switched))
