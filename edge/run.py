"""An agent's life in its process: signals, the end of every file, and a configuration that is read again."""

import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType

from edge import __version__
from edge.app import DRAIN_S, Agent
from edge.aws.component import Component, attached, detached
from edge.bundle.admission import admitted, admitted_own
from edge.config import Config
from edge.config.file import changes
from edge.errors import EdgeError, SessionError
from edge.systemd.notify import Notifier, notifier
from edge.transports.nucleus import Nucleus

__all__ = ["run"]

log = logging.getLogger(__name__)

_DRAIN_AFTER_FILES_S = 15.0
_BEATS = 4  # in the time after which a watchdog bites


def run(config: Config, reread: Callable[[], Config] | None = None, component: Component | None = None) -> int:
    """Runs an agent until SIGTERM, SIGINT, or the end of every file; the exit status. A second SIGINT forces.

    On SIGHUP, or the command `reload`, the configuration is read again by `reread`: one that is wrong is told and left
    alone, any other takes effect at once, and what changed is told in `info`.

    The service manager, where there is one, is told when the agent is ready, reloads and stops; its watchdog is fed by
    frames that went all the way, never by time that passed. Inside a Greengrass `component` that is the nucleus.
    """
    manager: Notifier = component or notifier()
    happened: queue.SimpleQueue[str | int | None] = queue.SimpleQueue()  # its put may interrupt its put
    interrupts = 0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts > 1:
            os._exit(130)
        happened.put(number)

    signals = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if reread else ()))
    before = {s: signal.signal(s, on_signal) for s in signals}
    try:
        nucleus = attached(component, happened.put)
        agent = _start(config, happened, nucleus)
        manager.ready(agent.summary())
        why = _wait(agent, happened, config.health.every_s, manager)
        clean = True
        while why == signal.SIGHUP and reread is not None and clean:
            manager.reloading()
            found = _read_again(config, reread)
            if found is not None:
                clean, agent, config = _go_on(agent, config, found, happened, nucleus)
            manager.ready(agent.summary())
            why = _wait(agent, happened, config.health.every_s, manager)
        manager.stopping()
        files_ended = why is None
        if isinstance(why, int):
            log.info("%s: stopping", signal.Signals(why).name)
        elif isinstance(why, str):
            log.error("%s: stopping", why)
        else:
            log.info("every file has ended: stopping")
        clean = agent.stop(drain_s=_DRAIN_AFTER_FILES_S if files_ended else DRAIN_S) and clean
    finally:
        detached(component)
        for number, handler in before.items():
            signal.signal(number, handler)
    if not clean:
        # A thread that hangs in a driver would hang the interpreter's own end as well.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(1)
    if isinstance(why, str):
        raise SessionError(why)
    return 0


def _start(
    config: Config,
    happened: "queue.SimpleQueue[str | int | None]",
    nucleus: Nucleus | None,
    changed: Sequence[str] = (),
) -> Agent:
    reload = partial(happened.put, signal.SIGHUP)
    agent = Agent(config, on_end=happened.put, reload=reload, changed=changed, nucleus=nucleus)
    log.info(
        "gluon-edge %s node=%s bundle=%s cameras=%s transport=%s",
        *(__version__, config.mqtt.node, config.model.bundle, ",".join(config.cameras), config.transport),
    )
    agent.start()
    return agent


def _read_again(config: Config, reread: Callable[[], Config]) -> Config | None:
    """The new configuration when there is one that can be used; None when the one that runs is to stay."""
    try:
        found = reread()
        admitted(found)
        for name, camera in found.cameras.items():
            if camera.model is not None and camera.enabled:
                admitted_own(found, name, camera.model)
    except EdgeError as e:
        log.error("reload: %s; going on with the configuration that runs", e)  # noqa: TRY400
        return None
    if found == config:
        log.info("reload: nothing has changed")
        return None
    return found


def _forget_the_end(happened: "queue.SimpleQueue[str | int | None]") -> None:
    """That the agent that was stopped has ended is no news; signals that came meanwhile are."""
    signals = []
    while not happened.empty():
        item = happened.get()
        if isinstance(item, int):
            signals.append(item)
    for item in signals:
        happened.put(item)


def _go_on(
    agent: Agent,
    old: Config,
    new: Config,
    happened: "queue.SimpleQueue[str | int | None]",
    nucleus: Nucleus | None,
) -> tuple[bool, Agent, Config]:
    """The agent goes on with another configuration, or another agent does; whether the former stopped well."""
    changed = changes(old.model_dump(mode="json"), new.model_dump(mode="json"))
    log.info("reload: changed %s", ", ".join(changed))
    if agent.change(new, changed):
        return True, agent, new
    clean = agent.stop()
    _forget_the_end(happened)
    return clean, *_start_anew(old, new, changed, happened, nucleus)


def _start_anew(
    old: Config,
    new: Config,
    changed: Sequence[str],
    happened: "queue.SimpleQueue[str | int | None]",
    nucleus: Nucleus | None,
) -> tuple[Agent, Config]:
    try:
        return _start(new, happened, nucleus, changed), new
    except EdgeError as e:
        log.error("reload: %s; back to the last configuration that was good", e)  # noqa: TRY400
        return _start(old, happened, nucleus), old


def _wait(
    agent: Agent, happened: "queue.SimpleQueue[str | int | None]", every_s: float, manager: Notifier
) -> str | int | None:
    beat_s = manager.watchdog_s / _BEATS if manager.watchdog_s else float("inf")
    now = time.monotonic()
    due, beat = now + every_s, now + beat_s
    while True:
        try:
            return happened.get(timeout=max(0.0, min(due, beat) - time.monotonic()))
        except queue.Empty:
            now = time.monotonic()
        if now >= beat:
            beat += beat_s
            if agent.works():
                manager.alive()
        if now >= due:
            due += every_s
            agent.publish_health()
            manager.status(agent.summary())
