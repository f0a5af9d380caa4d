"""The desk that a configuration asks for."""

from collections.abc import Callable, Mapping
from typing import Any

from edge.commands.control import Control
from edge.commands.desk import Desk, Done
from edge.commands.gate import Gate
from edge.config import Config
from edge.homeassistant.discovery import status_topic
from edge.reporting.payloads import Payloads
from edge.signing import Keys

__all__ = ["desk_of", "is_at_home"]


def is_at_home(config: Config) -> bool:
    """Home Assistant listens at a broker of its own, not at AWS IoT Core."""
    return config.homeassistant.enabled and config.transport == "mqtt"


def desk_of(
    config: Config,
    payloads: Payloads,
    control: Control,
    more: Mapping[str, Callable[[dict[str, Any]], Done]],
    introduce: Callable[[], None],
) -> Desk | None:
    """Hears the verbs of `control` and `more`, and Home Assistant's hello; None where nobody may say anything."""
    commands, home, at_home = config.commands, config.homeassistant, is_at_home(config)
    if config.transport not in {"mqtt", "greengrass"} or not (commands.enabled or at_home):
        return None
    gate = Gate(
        node=config.mqtt.node,
        allow=frozenset(commands.allow) if commands.enabled else frozenset(),
        keys=Keys(commands.keys),
        signed=commands.signed,
        counter_of=lambda key: desk.counter(key),  # noqa: PLW0108 - it comes with the next line
    )
    desk = Desk(
        payloads,
        gate,
        {**control.verbs(), **more} if commands.enabled else {},
        control.switches() if commands.enabled else {},
        hello=status_topic(home.prefix) if at_home else None,
        introduce=introduce if at_home else lambda: None,
    )
    return desk
