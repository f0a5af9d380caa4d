"""What a node may be told over the wire, and by whom: bytes from outside become a Command, or are refused with a reason.

A command is JSON on `<root>/<node>/cmd/<verb>`, at most 16 KiB, with an `id` that makes it happen once. Where signing
is asked for, that JSON is the `body` of an envelope, and names its node, its end of life and a counter that only grows.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from edge.signing import Keys

__all__ = ["EXAMPLES", "MAX_BYTES", "VERBS", "Command", "CommandError", "Gate", "switch_of"]

MAX_BYTES = 16 * 1024
_MAX_LIFE = timedelta(days=7)
_ID = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
_NAME = r"^[a-z0-9_-]{1,64}$"

CommandId = Annotated[str, StringConstraints(pattern=_ID)]
Camera = Annotated[str, StringConstraints(pattern=_NAME)]
Seq = Annotated[int, Field(ge=1, lt=1 << 53)]


class CommandError(ValueError):
    """A command that is refused; `id` is its own where it could be read, and `reason` is short and for the audit."""

    def __init__(self, reason: str, *, id: str | None = None) -> None:  # noqa: A002 - the contract's word
        super().__init__(reason)
        self.reason = reason
        self.id = id


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Nothing(_Strict):
    """A verb without arguments."""


class Detect(_Strict):
    """Looking on or off, on one camera or all."""

    on: bool
    camera: Camera | None = None


class Snapshot(_Strict):
    """One picture now."""

    camera: Camera


class Threshold(_Strict):
    """The least score that makes an event."""

    value: Annotated[float, Field(ge=0, le=1)]


class RestartCamera(_Strict):
    """Closes a camera and opens it again."""

    camera: Camera


class Update(_Strict):
    """A new model: where from, and what it must be."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^(https?|file)://[^\x00-\x20]+$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Replay(_Strict):
    """Sends acknowledged events that were kept once more, by their sequence numbers."""

    first_seq: Seq
    last_seq: Seq


class Receipt(_Strict):
    """An application has everything up to here: what was kept for replay may go."""

    last_seq: Seq


VERBS: dict[str, type[_Strict]] = {
    "ping": Nothing,
    "detect": Detect,
    "snapshot": Snapshot,
    "threshold": Threshold,
    "restart_camera": RestartCamera,
    "reload": Nothing,
    "update": Update,
    "replay": Replay,
    "receipt": Receipt,
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ping": {},
    "detect": {"on": False, "camera": "gate"},
    "snapshot": {"camera": "gate"},
    "threshold": {"value": 0.6},
    "restart_camera": {"camera": "gate"},
    "reload": {},
    "update": {"url": "https://models.example/street.zip", "sha256": "0" * 64},
    "replay": {"first_seq": 100, "last_seq": 120},
    "receipt": {"last_seq": 120},
}


class _Body(_Strict):
    """`command/1.0`. `node`, `verb`, `expires_at` and `counter` are there when it is signed."""

    schema_: Annotated[Literal["command/1.0"], Field(alias="schema")] = "command/1.0"
    id: CommandId
    args: dict[str, Any] = {}
    node: Camera | None = None
    verb: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")] | None = None
    expires_at: Annotated[str, StringConstraints(max_length=40)] | None = None
    counter: Annotated[int, Field(ge=1, lt=1 << 53)] | None = None


class _Envelope(_Strict):
    """A signed command: the very text that was signed, the key's name, the signature in base64."""

    body: Annotated[str, StringConstraints(max_length=MAX_BYTES)]
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    signature: Annotated[str, StringConstraints(max_length=100)]


_BODY: TypeAdapter[_Body] = TypeAdapter(_Body)
_ENVELOPE: TypeAdapter[_Envelope] = TypeAdapter(_Envelope)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that may be executed."""

    id: str
    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    counter: int | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets through what is allowed. `counter_of` gives the highest counter that a key has used, 0 for none.

    With `signed` every command has to be; without, a signature that is there still has to be right.
    """

    node: str
    allow: frozenset[str]
    keys: Keys
    signed: bool
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    counter_of: Callable[[str], int] = lambda _key: 0

    def read(self, verb: str, payload: bytes) -> Command:
        """The command in a message on `cmd/<verb>`.

        Raises:
            CommandError: with the reason.
        """
        if len(payload) > MAX_BYTES:
            raise CommandError(f"{len(payload)} bytes, more than {MAX_BYTES}")
        if verb not in VERBS:
            raise CommandError("no such verb")
        body, key = self._open(verb, _json(payload))
        if verb not in self.allow:
            raise CommandError(f"{verb} is not allowed here", id=body.id)
        if (body.verb or verb) != verb:
            raise CommandError(f"says {body.verb} on the topic of {verb}", id=body.id)
        try:
            args = VERBS[verb].model_validate(body.args)
        except ValidationError as e:
            raise CommandError(_first(e, "args."), id=body.id) from e
        if isinstance(args, Replay) and args.last_seq < args.first_seq:
            raise CommandError("args.last_seq: before first_seq", id=body.id)
        return Command(body.id, verb, args.model_dump(exclude_none=True), key, body.counter)

    def again(self, verb: str, payload: bytes) -> Command:
        """A command that was let through, and written down, by an earlier run: its time and counter are not asked again.

        Raises:
            CommandError: when the configuration allows it no more.
        """
        found = _json(payload)
        if isinstance(found, dict) and "signature" in found:
            payload = _checked(_ENVELOPE, found).body.encode()
        body: _Body = _checked(_BODY, _json(payload))
        if verb not in self.allow or verb not in VERBS:
            raise CommandError(f"{verb} is not allowed here", id=body.id)
        args = VERBS[verb].model_validate(body.args)
        return Command(body.id, verb, args.model_dump(exclude_none=True), None, body.counter)

    def _open(self, verb: str, found: Any) -> tuple[_Body, str | None]:
        """The command's body, out of its envelope when it is signed, and the key that has signed it."""
        if isinstance(found, dict) and "signature" in found:
            envelope: _Envelope = _checked(_ENVELOPE, found)
            if not self.keys.verify(envelope.body, envelope.key, envelope.signature):
                raise CommandError("the signature is not one of a pinned key")
            body: _Body = _checked(_BODY, _json(envelope.body.encode()))
            self._check_signed(verb, body, envelope.key)
            return body, envelope.key
        body = _checked(_BODY, found)
        if self.signed:
            raise CommandError("is not signed", id=body.id)
        if body.expires_at is not None:
            self._check_life(body)
        return body, None

    def _check_signed(self, verb: str, body: _Body, key: str) -> None:
        if body.node != self.node:
            raise CommandError("is signed for another node", id=body.id)
        if body.verb != verb:
            raise CommandError("is signed for another verb", id=body.id)
        if body.counter is None or body.expires_at is None:
            raise CommandError("a signed command needs expires_at and counter", id=body.id)
        self._check_life(body)
        if body.counter <= self.counter_of(key):
            raise CommandError("its counter was used before: a replay", id=body.id)

    def _check_life(self, body: _Body) -> None:
        try:
            ends = datetime.fromisoformat(str(body.expires_at).replace("Z", "+00:00"))
            left = ends - self.now()
        except (ValueError, TypeError, OverflowError) as e:
            raise CommandError("expires_at: not a time with its zone, like 2026-11-22T10:00:00Z", id=body.id) from e
        if left <= timedelta(0):
            raise CommandError("has expired", id=body.id)
        if left > _MAX_LIFE:
            raise CommandError("expires_at: more than 7 days ahead", id=body.id)


def switch_of(payload: bytes) -> bool:
    """`ON` or `OFF` on a `/set` topic.

    Raises:
        CommandError: when it is neither.
    """
    try:
        return {b"ON": True, b"OFF": False}[payload[:8].strip().upper()]
    except KeyError:
        raise CommandError("is neither ON nor OFF") from None


def _json(payload: bytes) -> Any:
    def refuse(text: str) -> Any:
        raise CommandError(f"{text} is not JSON")

    try:
        return json.loads(payload, parse_constant=refuse)
    except (ValueError, RecursionError) as e:
        if isinstance(e, CommandError):
            raise
        raise CommandError("is not JSON") from e


def _checked(model: TypeAdapter[Any], found: Any) -> Any:
    try:
        return model.validate_python(found)
    except ValidationError as e:
        given = found.get("id") if isinstance(found, dict) else None
        known = given if isinstance(given, str) and re.match(_ID, given) else None
        raise CommandError(_first(e, ""), id=known) from e


def _first(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = prefix + ".".join(str(p)[:40] for p in first["loc"])
    return f"{where}: {first['msg']}"[:300]
