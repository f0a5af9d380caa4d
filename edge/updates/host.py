"""What an update needs of whoever runs the models: the agent, or nobody when none runs."""

import queue
from collections.abc import Callable
from typing import Protocol

from edge.bundle.bundle import Bundle
from edge.frame import Frame
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage, Timing
from edge.results import Result

__all__ = ["Host", "NoAgent", "Seen", "Tap"]

Seen = tuple[Frame, Result, Timing]
"""A frame that the running model has looked at, what it said, and what that took."""


class Tap:
    """Takes what the running model sees, without ever holding it up: when nobody keeps pace, frames are left out."""

    def __init__(self, size: int = 2) -> None:
        self._queue: queue.Queue[Seen] = queue.Queue(size)

    def __call__(self, frame: Frame, result: Result, timing: Timing) -> None:
        """Called on the inference thread."""
        try:
            self._queue.put_nowait((frame, result, timing))
        except queue.Full:
            return

    def take(self, timeout_s: float) -> Seen | None:
        """The next one, None when there was none in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Host(Protocol):
    """Called on the updates' thread."""

    def running(self) -> Bundle:
        """The bundle that is looked with."""

    def options(self, bundle: Bundle) -> SessionOptions:
        """How a bundle would be run here."""

    def load(self, bundle: Bundle) -> Stage:
        """A bundle, ready to look in this process.

        Raises:
            SessionError: when it cannot be.
        """

    def switch(self, stage: Stage) -> None:
        """Looks with another model from the next frame on; returns when it does.

        Raises:
            SessionError: when the agent is stopping.
        """

    def listen(self, tap: Callable[[Frame, Result, Timing], None] | None) -> None:
        """From now on tells every frame that went through the model; None for nobody."""

    def failures(self) -> int:
        """How often the model has failed on a frame so far, or has said what is not a number."""

    lives: bool
    """Whether frames may come."""


class NoAgent:
    """Nobody runs: a model is proven by its golden sample, and watched by the next agent that starts."""

    lives = False

    def __init__(self, bundle: Bundle, options: Callable[[Bundle], SessionOptions]) -> None:
        self._bundle = bundle
        self._options = options

    def running(self) -> Bundle:
        """The bundle that would run."""
        return self._bundle

    def options(self, bundle: Bundle) -> SessionOptions:
        """How it would be run."""
        return self._options(bundle)

    def load(self, bundle: Bundle) -> Stage:
        """Loads it."""
        return Stage(bundle, self._options(bundle))

    def switch(self, stage: Stage) -> None:
        """The next start does."""

    def listen(self, tap: Callable[[Frame, Result, Timing], None] | None) -> None:
        """No frames."""

    def failures(self) -> int:
        """None."""
        return 0
