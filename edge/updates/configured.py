"""Updates as a node's configuration asks for them: the folder of its models, and what brings new ones there."""

import threading
from collections.abc import Callable

from edge.bundle.admission import admitted, trust_of, versions_of
from edge.config import Config
from edge.updates.host import Host
from edge.updates.models import Models
from edge.updates.state import Update
from edge.updates.steps import Steps
from edge.updates.updater import Updater

__all__ = ["models_of", "updater_of"]


def models_of(config: Config) -> Models:
    """The folder of a node's installed models."""
    return Models(config.state_folder / f"{config.mqtt.node}.models")


def updater_of(config: Config, models: Models, host: Host, on_change: Callable[[Update], None]) -> Updater:
    """What brings new models to `host`."""
    stop = threading.Event()
    steps = Steps(
        models,
        host,
        config.updates,
        trust_of(config),
        versions_of(config),
        configured=lambda: admitted(config),
        stopping=stop.is_set,
    )
    return Updater(steps, on_change, stop=stop)
