"""What a new configuration asks of an agent that runs: nothing to stop, some cameras opened anew, or a start from anew."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Plan", "plan"]

_AT_ONCE = re.compile(r"model\.threshold|events\.(?!follow)\w+|snapshots\.(?!enabled)\w+|health\.every_s")
# Not `enabled`, `pace`, `fps`, `loop`, `zones` and `motion`: those are known elsewhere than to the camera's reader.
_CAMERA = re.compile(
    r"cameras\.([a-z0-9_-]+)\.(source|kind|width|height|username|password_file|open_timeout_s|read_timeout_s|frozen_s|privacy)"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`live`: the agent can go on; `cameras` are those to be opened anew for it."""

    live: bool
    cameras: frozenset[str] = frozenset()


def plan(changed: Sequence[str]) -> Plan:
    """What the keys that differ ask for, as `edge.configfile.changes` names them."""
    cameras = set()
    for key in changed:
        camera = _CAMERA.fullmatch(key)
        if camera is not None:
            cameras.add(camera[1])
        elif not _AT_ONCE.fullmatch(key):
            return Plan(live=False)
    return Plan(live=True, cameras=frozenset(cameras))
