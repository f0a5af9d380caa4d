"""Log lines for a person: to stderr, one line each, credentials hidden."""

import logging
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


def set_up_logging(*, verbose: bool) -> None:
    """Sends every logger's lines to stderr; `verbose` adds DEBUG and the repeats of failures."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)


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
