"""What a node says about itself: its birth, its health, and how its cameras are."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.delivery.outbox import Outbox
from edge.health.health import Health
from edge.message import IllegalMessageError, Importance, Message, encode
from edge.reporting.payloads import Payloads
from edge.updates.state import Update

__all__ = ["Report"]

log = logging.getLogger(__name__)

_HEALTH_LIFE_S = 3600.0
_MAX_CHANGED = 100


class Report:
    """Puts the node's own messages into the outbox. Any thread may call it."""

    def __init__(self, payloads: Payloads, outbox: Outbox, health: Health) -> None:
        self._payloads = payloads
        self._outbox = outbox
        self._health = health

    def born(self, *, runtime: Mapping[str, Any], cameras: Mapping[str, Any], changed: Sequence[str] = ()) -> None:
        """`info`, retained and sent again on every connect; `changed` are the keys of a configuration read anew."""
        info = self._payloads.info(runtime=runtime, cameras=cameras, started_ns=self._payloads.clock.wall_ns())
        if changed:
            info["changed"] = list(changed)[:_MAX_CHANGED]
        self._put(("info",), info, Importance.B, qos=1, last_value=True)

    def use(self, payloads: Payloads) -> None:
        """Speaks of another model from now on."""
        self._payloads = payloads

    def update(self, update: Update | None, percent: int | None) -> None:
        """`update`: which model runs, and how far another one has come; retained, and sent again on every connect."""
        payload = self._payloads.update(update, percent)
        self._put(("update",), payload, Importance.B, qos=1, last_value=True)

    def frame_read(self, camera: str) -> None:
        """A camera gave a frame."""
        self._health.frame_read(camera)

    def state_changed(self, camera: str, state: str, reason: str | None, step: str | None = None) -> None:
        """A camera is `online`, `offline` or `disabled`; `step` is what is done about it. Retained."""
        self._health.camera_state(camera, state)
        payload = self._payloads.camera_state(camera, state, reason, step)
        self._put((camera, "state"), payload, Importance.B, qos=1, last_value=True, history=True)

    def health(
        self,
        counts: Mapping[str, Mapping[str, int]],
        extra: Mapping[str, Any],
        observe: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _figures: {},
    ) -> dict[str, Any]:
        """`health`, with what was counted of each camera elsewhere and what else is known; what was told.

        `observe` is shown the figures, and says what follows from them.
        """
        figures = {**self._health.figures(counts), **extra}
        payload = self._payloads.health({**figures, **observe(figures)})
        self._put(("health",), payload, Importance.C, qos=0, last_value=False, lifetime_s=_HEALTH_LIFE_S)
        return payload

    def _put(
        self,
        levels: tuple[str, ...],
        payload: Mapping[str, Any],
        importance: Importance,
        *,
        last_value: bool,
        **more: Any,
    ) -> None:
        topic = self._payloads.topic(*levels)
        try:
            message = Message(topic, encode(payload), importance, retain=last_value, last_value=last_value, **more)
        except IllegalMessageError:
            log.exception("%s cannot be sent", topic)
            return
        self._outbox.put(message)
