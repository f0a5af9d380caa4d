"""A named shadow of AWS IoT Core: what is desired of the node is done, what is the case is reported.

Topics below `$aws/things/<thing>/shadow/name/<shadow>/`: `get`, `update`, their `/accepted` and `/rejected`, and
`update/delta`, which comes when desired and reported differ. Each document has a `version`; an update that names an
older one is rejected with 409, and the document is read anew.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.aws.services import Asking, Say, parse
from edge.errors import EdgeError
from edge.message import encode

__all__ = ["Settings", "Shadow"]

log = logging.getLogger(__name__)

MAX_BYTES = 5 * 1024
_MAX_WORDS, _MAX_ERRORS = 300, 8
_NOT_FOUND, _CONFLICT, _TOO_LARGE = 404, 409, 413
_GIVE_UP_AFTER = 5


class Settings:
    """What a shadow can set, by the first key of `desired`; each raises EdgeError or ValueError for what cannot be.

    `reported` gives the state as it is now.
    """

    def __init__(self, setters: Mapping[str, Callable[[Any], None]], reported: Callable[[], Mapping[str, Any]]) -> None:
        self.setters = setters
        self.reported = reported


class Shadow:
    """One named shadow. The uplink's thread calls it; `say` sends now."""

    def __init__(
        self, thing: str, name: str, say: Say, settings: Settings, *, mono: Callable[[], float] = time.monotonic
    ) -> None:
        self._base = f"$aws/things/{thing}/shadow/name/{name}"
        self.filters: tuple[str, ...] = (
            f"{self._base}/get/accepted",
            f"{self._base}/get/rejected",
            f"{self._base}/update/accepted",
            f"{self._base}/update/rejected",
            f"{self._base}/update/delta",
        )
        self._settings = settings
        self._asking = Asking(say, mono=mono)
        self._version = 0
        self._known = False
        self._told: Mapping[str, Any] | None = None
        self._errors: dict[str, str] = {}
        self._conflicts = 0
        self._reread = (
            False  # errors stand, and the document has changed: where nothing differs any more no delta comes
        )

    def connected(self) -> None:
        """Reads the document."""
        self._asking.forget()
        self._known, self._told, self._conflicts = False, None, 0
        self._asking.ask(f"{self._base}/get", {})

    def heard(self, topic: str, payload: bytes) -> None:
        """An answer, or a delta."""
        found = parse(payload)
        what = topic.removeprefix(self._base + "/")
        if found is None:
            log.warning("shadow: %s holds no JSON object", topic)
        elif what == "update/delta":
            self._heed(found.get("state"), found.get("version"))
        elif self._asking.answers(found) is None:
            self._reread |= what == "update/accepted" and bool(self._errors)  # somebody else's
        elif what == "get/accepted":
            state = found.get("state")
            self._known = True
            self._version = _number(found.get("version"))
            self._heed(state.get("delta") if isinstance(state, dict) else None, self._version, again=True)
        elif what == "update/accepted":
            self._version = max(self._version, _number(found.get("version")))
            self._conflicts = 0
            self._reread = bool(self._errors)
        else:
            self._rejected(what, found)
        self.step()

    def step(self) -> None:
        """Reports what has changed, when nothing waits for an answer."""
        self._asking.again()
        if not self._known or self._asking.waiting is not None or self._conflicts > _GIVE_UP_AFTER:
            return
        if self._reread:
            self._reread = False
            self._asking.ask(f"{self._base}/get", {})
            return
        reported = self._document()
        if reported == self._told:
            return
        body: dict[str, Any] = {"state": {"reported": _merged_into(self._told or {}, reported)}}
        self._told = reported
        if self._version:
            body["version"] = self._version
        self._asking.ask(f"{self._base}/update", body)

    def _document(self) -> dict[str, Any]:
        reported = dict(self._settings.reported())
        if self._errors:
            reported["errors"] = dict(self._errors)
        for optional in ("update", "errors", "detect"):
            if len(encode({"state": {"reported": reported}})) <= MAX_BYTES:
                break
            log.warning("shadow: larger than %d bytes; %s is left out", MAX_BYTES, optional)
            reported.pop(optional, None)
        return reported

    def _heed(self, state: Any, version: Any, *, again: bool = False) -> None:
        """Does what is desired and differs; a delta that is older than what is known was overtaken."""
        number = _number(version)
        if number < self._version or (number == self._version and not again):
            return
        self._version = number
        self._errors = {}  # a delta names all that differs
        for name, value in state.items() if isinstance(state, dict) else ():
            key = str(name)[:64]
            setter = self._settings.setters.get(name)
            try:
                if setter is None:
                    raise ValueError(f"this node knows {', '.join(self._settings.setters)}")  # noqa: TRY301
                setter(value)
                log.info("shadow: %s set", key)
            except (EdgeError, ValueError, TypeError, KeyError) as e:
                if len(self._errors) < _MAX_ERRORS:
                    self._errors[key] = str(e)[:_MAX_WORDS]
                log.warning("shadow: %s refused: %s", key, e)

    def _rejected(self, what: str, found: Mapping[str, Any]) -> None:
        code = found.get("code")
        if what == "get/rejected" and code == _NOT_FOUND:
            self._known, self._version = True, 0
            return
        log.warning("shadow: %s: %s (%s)", what, found.get("message"), code)
        if what == "update/rejected":
            self._told = None
            if code == _CONFLICT:
                self._conflicts += 1
                self._asking.ask(f"{self._base}/get", {})
            elif code == _TOO_LARGE:
                self._conflicts = _GIVE_UP_AFTER + 1  # it would be rejected for ever
            else:
                self._conflicts += 1


def _merged_into(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What makes `now` of `before`: a shadow merges, at every depth, and what is no more has to be taken out by null."""
    change: dict[str, Any] = dict.fromkeys(before.keys() - now.keys())
    for key, value in now.items():
        inner = before.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            value = _merged_into(inner, value)  # noqa: PLW2901 - the same, as a change
        change[key] = value
    return change


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
