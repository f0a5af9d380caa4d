"""The branches of an agent as one: they begin and end together, and go over to another configuration all or none."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from edge.branch import Branch
from edge.cameras.reader import CameraReader
from edge.config import Config
from edge.config.reload import Plan
from edge.shutdown import Deadline

__all__ = ["Branches"]

log = logging.getLogger(__name__)

_CHANGE_WITHIN_S = 5.0


class Branches:
    """`shared` looks for every camera without a model of its own; `own` are the others, each by its camera."""

    def __init__(self, shared: Branch, own: Mapping[str, Branch]) -> None:
        self.shared = shared
        self.own = own

    def __iter__(self) -> Iterator[Branch]:
        return iter((self.shared, *self.own.values()))

    @property
    def readers(self) -> list[CameraReader]:
        """Those of every camera."""
        return [reader for branch in self for reader in branch.readers]

    def change(self, config: Config, todo: Plan, also: Callable[[], None]) -> bool:
        """Goes on with another configuration between two frames, or with the old one: False then.

        `also` is done with it, on the thread of the shared model.
        """
        if not all(branch.can_change(config, todo) for branch in self):
            return False

        def change_shared() -> None:
            self.shared.change(config)
            also()

        own = (b.pipeline.between_frames(partial(b.change, config), _CHANGE_WITHIN_S) for b in self.own.values())
        if not all(own) or not self.shared.pipeline.between_frames(change_shared, _CHANGE_WITHIN_S):
            return False
        for branch in self:
            branch.reopen(todo)
        return True

    def set_threshold(self, value: float) -> None:
        """The least score of every model, from the next frame on. Any thread may."""
        for branch in self:
            branch.set_threshold(value)

    def tell_of_the_models(self, wanted: Sequence[str]) -> None:
        """Logs which of the wanted labels no model has, and which providers fell away."""
        known = {label for branch in self for label in branch.payloads.labels}
        for label in sorted(set(wanted) - known):
            log.warning("events.labels: the model has no label %r", label)
        for session in (branch.stage.session for branch in self):
            for provider, reason in session.fell_away.items():
                log.warning("provider %s fell away: %s; running on %s", provider, reason, session.provider)

    def works(self) -> bool:
        """Whether frames went all the way since this was last asked, or no camera could give one."""
        working = [branch.liveness.works() for branch in self]  # each is asked: it counts since the last time
        return all(working)

    def counts(self) -> dict[str, dict[str, int]]:
        """What was not looked at and what was not taken, by camera."""
        return {
            reader.name: {"dropped": branch.slots.dropped[reader.name], **reader.refused}
            for branch in self
            for reader in branch.readers
        }

    def stop(self, timeout_s: float) -> list[str]:
        """Stops cameras and models, all at once; the names of threads that have not ended."""
        left = Deadline(timeout_s).left_s
        for branch in self:
            branch.pipeline.ask_to_stop()
        return [name for branch in self for name in branch.pipeline.stop(left())]
