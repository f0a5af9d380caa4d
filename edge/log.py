"""Log lines for a person: to stderr, one line each, credentials hidden; in the journal's own way where it listens."""

import contextlib
import logging
import os
import sys
import time

from edge.secret import redact

__all__ = ["Repeats", "set_up_logging"]


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _JournalFormatter(_Formatter):
    """The priority as sd-daemon(3) has it, before every line; the time is the journal's."""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelno
        priority = next(p for least, p in _PRIORITIES if level >= least)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines() or [""])


# Levels of Python to those of syslog: crit, err, warning, info, debug.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def set_up_logging(*, verbose: bool) -> None:
    """Sends every logger's lines to stderr; `verbose` adds DEBUG and the repeats of failures."""
    handler = logging.StreamHandler(sys.stderr)
    plain = _Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(_JournalFormatter("%(message)s") if _to_the_journal() else plain)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)


def _to_the_journal() -> bool:
    """Whether stderr is the journal's own stream: JOURNAL_STREAM is its device and inode (systemd.exec(5))."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stderr = os.fstat(sys.stderr.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"
    return False


class Repeats:
    """Says a failure once aloud: the first of a row is a WARNING, its repeats are DEBUG with a count."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last = ""
        self.count = 0

    def failed(self, message: str) -> None:
        """Logs `message`; aloud when it is not what was last said."""
        self.count += 1
        if message == self._last:
            self._log.debug("%s (time %d)", message, self.count)
        else:
            self._log.warning("%s", message)
        self._last = message

    def succeeded(self) -> int:
        """Ends the row; returns how many failures it had."""
        count, self.count, self._last = self.count, 0, ""
        return count
