"""The agent as a component of AWS IoT Greengrass: configured by deployments, and telling the nucleus how it is.

It is the `manager` of edge.run: what systemd is told elsewhere, the nucleus is told here. RUNNING goes out once the
first frame has gone all the way, or no camera is there to give one: the model works, and an absent camera is no
failed deployment.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.aws.coerce import coerced
from edge.config import Config
from edge.config.file import config_of
from edge.errors import ConfigError, TransportError
from edge.transports.component import ComponentAddress
from edge.transports.nucleus import Nucleus

__all__ = ["Component", "attached", "component_config", "detached"]

log = logging.getLogger(__name__)

_CONNECT_TRIES, _TRY_EVERY_S = 10, 1.0
_QUIET_S = 0.3
_LOOK_EVERY_S = 5.0
_OTHERS = frozenset({"accessControl"})  # what is not ours of a component's configuration
_WHERE = "the component's configuration"


class Component:
    """One process's life under a nucleus. `configured` is whether its configuration comes from there.

    Raises:
        ConfigError: not inside a component, or awsiotsdk is not installed.
    """

    watchdog_s: float | None = 4.0

    def __init__(self, address: ComponentAddress | None = None, *, configured: bool = True) -> None:
        address = address or ComponentAddress.from_environment()
        if address is None:
            raise ConfigError(
                'transport "greengrass" works inside a Greengrass component only: the nucleus has set neither '
                "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT nor SVCUID here"
            )
        self.nucleus = Nucleus(address, self._given_up)
        self._tell: Callable[[int | str], None] = lambda _what: None
        self._told = False
        self._link: tuple[Path, Path] | None = None
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="component", daemon=True)
        if configured:
            self.nucleus.validator = _problem
            self.nucleus.configuration_changed = self._changed.set

    def config(self) -> Config:
        """The configuration that the nucleus has for this component, over the defaults.

        Raises:
            ConfigError: when it cannot be used, naming the key; or the nucleus cannot be reached.
        """
        for _ in range(_CONNECT_TRIES):
            try:
                self.nucleus.connect()
                found = self.nucleus.configuration()
            except TransportError as e:
                problem = e
                log.warning("%s; trying again", e)
            else:
                config = self._of_the_thing(component_config(found))
                self._link = _bundle_path(coerced(found, Config)), config.model.bundle
                return config
            if self._closing.wait(_TRY_EVERY_S):
                break
        raise ConfigError(f"{_WHERE} cannot be read: {problem}")

    def _of_the_thing(self, config: Config) -> Config:
        thing, node = self.nucleus.address.thing, config.mqtt.node
        if thing is not None and thing != node:
            log.warning(
                "this thing is %r and the node %r: name edge/%s/... in accessControl instead of {iot:thingName}",
                *(thing, node, node),
            )
        return config

    def attach(self, tell: Callable[[int | str], None]) -> None:
        """Begins; `tell` is told SIGHUP when the configuration has changed, and why the process is to end if it is."""
        self._tell = tell
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._closing.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self.nucleus.close()

    def ready(self, status: str) -> None:
        """Not yet: `alive` is what counts."""

    def reloading(self) -> None:
        """Nothing that a nucleus wants to know."""

    def stopping(self) -> None:
        """Nothing that a nucleus wants to know."""

    def alive(self) -> None:
        """RUNNING, the first time."""
        if not self._told and self.nucleus.connected:
            self._told = True
            self.nucleus.tell_state("RUNNING")

    def status(self, text: str) -> None:
        """Nothing that a nucleus wants to know."""

    def _watch(self) -> None:
        while not self._closing.is_set():
            changed = self._changed.wait(_LOOK_EVERY_S)
            if self._closing.is_set():
                return
            if changed:
                # A deployment tells key by key: what belongs together is read together.
                while changed:
                    self._changed.clear()
                    changed = self._changed.wait(_QUIET_S) and not self._closing.is_set()
                self._tell(signal.SIGHUP)
            elif self._another_model():
                log.info("another version of the model's component was deployed")
                self._tell(signal.SIGHUP)
            elif not self.nucleus.connected:
                self._connect()

    def _another_model(self) -> bool:
        """Whether the link that the model's component has put leads elsewhere now."""
        if self._link is None:
            return False
        link, before = self._link
        now = link.resolve()
        self._link = link, now
        return now != before and now.exists()

    def _connect(self) -> None:
        try:
            self.nucleus.connect()
        except TransportError as e:
            log.debug("%s", e)
        except Exception as e:  # noqa: BLE001 - refused for good has been told by then
            log.debug("%s", e)

    def _given_up(self, reason: str) -> None:
        log.error("%s", reason)
        self._tell(reason)


def attached(component: Component | None, tell: Callable[[int | str], None]) -> Nucleus | None:
    """The nucleus of a process that is a component, which begins to listen; None elsewhere."""
    if component is None:
        return None
    component.attach(tell)
    return component.nucleus


def detached(component: Component | None) -> None:
    """Ends what `attached` began."""
    if component is not None:
        component.close()


def component_config(found: Mapping[str, Any]) -> Config:
    """A component's configuration, typed: text is read as what its key wants.

    Raises:
        ConfigError: naming the key, what is wrong, and how many more there are.
    """
    data = coerced({"transport": "greengrass", "state_dir": "state", **found}, Config)
    ours = {key: value for key, value in data.items() if key not in _OTHERS}
    if isinstance(model := ours.get("model"), dict) and isinstance(model.get("bundle"), str):
        # The model's component puts a link there: what it leads to is what another version changes.
        ours["model"] = {**model, "bundle": str(_bundle_path(ours).resolve())}
    if isinstance(aws := ours.get("aws"), dict) and (thing := os.environ.get("AWS_IOT_THING_NAME")):
        ours["aws"] = {"thing": thing, **aws}  # one configuration for a fleet cannot name it
    # Relative paths start in the component's work folder, which is where the nucleus starts it.
    return config_of(ours, _WHERE, folder=Path.cwd())


def _bundle_path(found: Mapping[str, Any]) -> Path:
    return Path.cwd() / str(found["model"]["bundle"])


def _problem(found: dict[str, Any]) -> str | None:
    try:
        component_config(found)
    except ConfigError as e:
        log.warning("a deployment was refused: %s", e)
        return str(e)
    return None
