"""A new model on a node: download, verify, install, probe, shadow, switch, watch; then commit, or roll back by itself.

`state` is what is kept on the disk, `models` the folder it lies in, `download` the way in, `trial` and `child` the
model in a process of its own, `compare` how two models are told apart, `updater` the thread that walks the way,
`configured` all of it as the configuration asks.
"""

from edge.updates.models import Models
from edge.updates.state import Request, State, Update

__all__ = ["Models", "Request", "State", "Update"]
