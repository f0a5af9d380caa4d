"""The node's own vital signs, put together: the board is read, the governor looks, and the page shows what was found."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edge.cameras.motion import MotionGate, Passing
from edge.config import Config
from edge.config.health import listen_address
from edge.health.board import Board
from edge.health.governor import Governor, Throttle
from edge.health.health import Health
from edge.secret import check_private, read_secret

if TYPE_CHECKING:
    from edge.health.page import Page

__all__ = ["Vitals"]

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0
_PERIODS = 3
_LOG_EVERY_S = 60.0


class Vitals:
    """`motion` are the cameras' motion gates; `gates` is what stands before the model instead of them.

    Files that are used to their last frame (`pace = "fast"`) are never governed.

    Raises:
        ConfigError: when the page's address or its token cannot be used.
    """

    def __init__(
        self,
        config: Config,
        health: Health,
        motion: Mapping[str, MotionGate],
        *,
        board: Board | None = None,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._board = board or Board()
        self._mono = mono
        self._every_s = config.health.every_s
        slowest_s = max((1 / c.fps for c in config.cameras.values() if c.fps), default=0.0)
        self._patience_s = max(_PATIENCE_S, 2 * slowest_s)
        self._cameras = len(config.cameras)
        self._told: Mapping[str, Any] = {}
        self._told_at = mono()
        self._log_at = self._told_at + _LOG_EVERY_S
        self.gates: Mapping[str, Passing] = motion
        self._governor: Governor | None = None
        if config.governor.enabled:
            throttles = {n: Throttle(motion.get(n)) for n, c in config.cameras.items() if c.pace != "fast"}
            self._governor = Governor(config.governor, throttles)
            self.gates = {**motion, **throttles}
        self._page = self._open(config)

    def start(self) -> None:
        """The page answers."""
        if self._page is not None:
            self._page.start()

    def close(self) -> None:
        """It does no more."""
        if self._page is not None:
            self._page.close()

    def observe(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """What a period's figures are to be told with: the board's heat, and what is given up because of it."""
        heat = self._board.read()
        found: dict[str, Any] = {"board": told} if (told := heat.told()) else {}
        if self._governor is not None:
            age = figures["latency"]["age_ms"]
            rates = {camera: f["fps"] for camera, f in figures["cameras"].items()}
            self._governor.look(heat, age_ms=age and age["p90"], fps=rates)
            found["given_up"] = self._governor.given_up()
        return found

    def told(self, health: Mapping[str, Any]) -> None:
        """The newest `health`, as the page tells it too."""
        self._told, self._told_at = health, self._mono()
        if self._told_at >= self._log_at:
            self._log_at = self._told_at + _LOG_EVERY_S
            log.info("%s", self._line(health))

    @property
    def page(self) -> "Page | None":
        """The page, where there is one."""
        return self._page

    def _open(self, config: Config) -> "Page | None":
        listen, token_file = config.health.listen, config.health.token_file
        if listen is None:
            return None
        token = None
        if token_file is not None:
            token = read_secret(token_file)
            check_private(token_file)
        from edge.health.page import Page  # an HTTP server, for those who ask for one

        return Page(listen_address(listen), lambda: self._told, alive=self._alive, ready=self._ready, token=token)

    def _line(self, health: Mapping[str, Any]) -> str:
        age, outbox, celsius = health["latency"]["age_ms"], health["outbox"], health.get("board", {}).get("celsius")
        parts = [
            f"{len(self._health.online())} of {self._cameras} cameras online",
            f"{health['fps']:g} frames/s",
            *([f"p90 {age['p90']:g} ms from capture to message"] if age else []),
            f"{outbox['depth']} messages wait",
            *([f"{celsius:.0f} C"] if celsius is not None else []),
            *([f"alarms: {', '.join(outbox['alarms'])}"] if outbox["alarms"] else []),
        ]
        return "; ".join(parts)

    def _alive(self) -> tuple[bool, str]:
        late_s = self._mono() - self._told_at
        if late_s > _PERIODS * self._every_s + _PATIENCE_S:
            return False, f"no figures for {late_s:.0f} s: the agent hangs"
        if not self._health.online():
            return True, "no camera gives frames, and that is known"
        idle_s = self._health.idle_s()
        if idle_s > self._patience_s:
            return False, f"no frame has gone all the way for {idle_s:.0f} s"
        return True, "frames go all the way"

    def _ready(self) -> tuple[bool, str]:
        online = len(self._health.online())
        return online > 0, f"{online} of {self._cameras} cameras online"
