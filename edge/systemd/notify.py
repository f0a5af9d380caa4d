"""Tells the service manager how the agent is: sd_notify(3), a datagram to the socket that systemd names."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Protocol

__all__ = ["NoManager", "Notifier", "SystemdNotifier", "notifier"]

_MAX_STATUS = 200


class Notifier(Protocol):
    """Who starts and watches the agent. No call ever fails: what cannot be told does not stop the work."""

    watchdog_s: float | None
    """Within how many seconds `alive` has to come again and again; None when nobody watches."""

    def ready(self, status: str) -> None:
        """The agent has started, or works again after a reload."""

    def reloading(self) -> None:
        """The configuration is being read again."""

    def stopping(self) -> None:
        """The agent is on its way out."""

    def alive(self) -> None:
        """The work goes on."""

    def status(self, text: str) -> None:
        """One line for a person who looks at the service."""


class NoManager:
    """Nobody watches."""

    watchdog_s: float | None = None

    def ready(self, status: str) -> None:
        """Nobody to tell."""

    def reloading(self) -> None:
        """Nobody to tell."""

    def stopping(self) -> None:
        """Nobody to tell."""

    def alive(self) -> None:
        """Nobody to tell."""

    def status(self, text: str) -> None:
        """Nobody to tell."""


class SystemdNotifier:
    """systemd, or whoever else listens on a socket like its own."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        # An abstract socket is written with @ in place of the NUL it begins with.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    def ready(self, status: str) -> None:
        """READY=1."""
        self._send("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """RELOADING=1; Type=notify-reload (systemd 253) wants the time as well."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """WATCHDOG=1."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """STATUS=..."""
        self._send(f"STATUS={_line(text)}")

    def _send(self, *lines: str) -> None:
        # A manager that does not listen is its own trouble, not a reason to look at no more frames.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s,
        ):
            s.settimeout(1.0)
            s.sendto("\n".join(lines).encode(), self._address)


def notifier(environ: Mapping[str, str] | None = None) -> Notifier:
    """The manager that has started this very process, by NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
    environ = os.environ if environ is None else environ
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return NoManager()
    watchdog_s = None
    with contextlib.suppress(ValueError):
        usec = int(environ.get("WATCHDOG_USEC", "0"))
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_s = usec / 1e6 if usec > 0 and ours else None
    return SystemdNotifier(address, watchdog_s)


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_STATUS]
