"""The model at work on a node: which one to start with, and another in its place while cameras go on."""

import logging
from collections.abc import Callable
from dataclasses import replace

from edge.bundle.admission import admitted, admitted_own, trust_of
from edge.bundle.bundle import Bundle
from edge.config import Config, ModelConfig
from edge.errors import SessionError
from edge.frame import Frame
from edge.health.health import Health
from edge.inference.session import SessionOptions, available_cores
from edge.inference.stages import Stage, Timing
from edge.inference.tuned import options_for
from edge.memory import give_back
from edge.pipeline import Pipeline
from edge.results import Result
from edge.updates import Models

__all__ = ["ModelHost", "first_stage", "own_stage"]

log = logging.getLogger(__name__)

_SWITCH_S = 30.0


def first_stage(config: Config, models: Models) -> Stage:
    """The model to start with, loaded: one that cannot be makes way for the one before.

    Raises:
        EdgeError: when none can be used.
    """
    trust = trust_of(config)
    bundle = models.choose(lambda: admitted(config), trust)
    while True:
        try:
            return _load(config, config.model, bundle)
        except SessionError as e:
            if models.state.active is None:
                raise
            models.roll_back(f"it cannot be loaded: {e}"[:500])
        bundle = models.pick(lambda: admitted(config), trust)


def own_stage(config: Config, camera: str, model: ModelConfig) -> Stage:
    """The model that one camera has to itself, loaded. It is not updated over the wire: it has no one before to go back to.

    Raises:
        EdgeError: when it cannot be used.
    """
    return _load(config, model, admitted_own(config, camera, model))


class ModelHost:
    """The agent as `edge.updates` knows it. `take_over` makes what belongs to a stage and has the pipeline use it."""

    lives = True

    def __init__(
        self, config: Config, stage: Stage, pipeline: Pipeline, health: Health, take_over: Callable[[Stage], None]
    ) -> None:
        self._config = config
        self._stage = stage
        self._pipeline = pipeline
        self._health = health
        self._take_over = take_over

    def running(self) -> Bundle:
        """The bundle that is looked with."""
        return self._stage.bundle

    def options(self, bundle: Bundle) -> SessionOptions:
        """How a bundle is run here."""
        return _options(self._config, self._config.model, bundle)

    def load(self, bundle: Bundle) -> Stage:
        """A bundle, ready to look.

        Raises:
            SessionError: when it cannot be loaded.
        """
        return _load(self._config, self._config.model, bundle)

    def switch(self, stage: Stage) -> None:
        """Between two frames: none is lost, and none is seen by both.

        Raises:
            SessionError: when the agent is stopping.
        """
        if not self._pipeline.between_frames(lambda: self._take_over(stage), _SWITCH_S):
            raise SessionError("the agent looks at nothing any more; the new model is there from the next start on")
        self._stage = stage

    def listen(self, tap: Callable[[Frame, Result, Timing], None] | None) -> None:
        """Tells every frame that went through the model."""
        self._pipeline.tap = tap

    def failures(self) -> int:
        """How often the model has failed on a frame, or has said what is not a number."""
        return self._health.failed() + self._stage.unsound


def _options(config: Config, model: ModelConfig, bundle: Bundle) -> SessionOptions:
    """As configured or tuned; several sessions that look at once share the cores, where nobody says how many threads."""
    options = options_for(bundle, model, config.state_folder)
    if model.threads or config.sessions == 1:
        return options
    most = max(1, available_cores() // config.sessions)
    return replace(options, threads=min(options.threads or most, most))


def _load(config: Config, model: ModelConfig, bundle: Bundle) -> Stage:
    stage = Stage(bundle, _options(config, model, bundle), threshold=model.threshold)
    bundle.release()
    give_back()
    return stage
