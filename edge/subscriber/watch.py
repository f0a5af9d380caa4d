"""`gluon-edge watch`: a subscriber for people. One line an event; gaps and duplicates counted."""

import contextlib
import json
import logging
import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TextIO

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.errors import TransportError, TransportRefusedError
from edge.transports.mqttsettings import MqttSettings, tls_context

__all__ = ["Ledger", "describe", "listen"]

log = logging.getLogger(__name__)

_MAX_MISSING = 100_000


@dataclass
class Ledger:
    """Who has sent which numbers. Duplicates and gaps are found by (node, boot_id, seq)."""

    events: int = 0
    duplicates: int = 0
    given_up: int = 0
    _span: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _missing: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _more_missing: int = 0

    def note(self, node: str, boot_id: str, seq: int) -> bool:
        """Takes an event's numbers down; False when it was here before."""
        who = (node, boot_id)
        self.events += 1
        missing = self._missing.setdefault(who, set())
        first, last = self._span.get(who, (seq, seq - 1))
        if seq > last:
            self._miss(missing, last + 1, seq)
        elif seq < first:  # an older one that came late
            self._miss(missing, seq + 1, first)
        elif seq in missing:
            missing.discard(seq)
        else:
            self.duplicates += 1
            return False
        self._span[who] = (min(first, seq), max(last, seq))
        return True

    def note_gap(self, first: int, last: int) -> None:
        """A receipt: these were given up by the node itself, which may be about a run before this one."""
        for missing in self._missing.values():
            given_up = {s for s in missing if first <= s <= last}
            missing.difference_update(given_up)
            self.given_up += len(given_up)

    @property
    def missing(self) -> int:
        """Numbers between the first and the last seen that have not come."""
        return self._more_missing + sum(map(len, self._missing.values()))

    def _miss(self, missing: set[int], start: int, end: int) -> None:
        """The numbers from `start` up to `end` have not come; so many are remembered, the rest only counted."""
        room = min(max(0, end - start), _MAX_MISSING - len(missing))
        missing.update(range(start, start + room))
        self._more_missing += max(0, end - start) - room


def describe(topic: str, payload: Any, now: float) -> str:
    """A message as a line for a person."""
    if not isinstance(payload, Mapping):
        return f"{_clock(now)}  {topic}  {payload}"
    schema = str(payload.get("schema", ""))
    if schema.startswith("event/"):
        return _describe_event(payload, now)
    if schema.startswith("state/"):
        where = f"{payload.get('node')}/{payload.get('camera')}"
        reason = f" ({payload['reason']})" if payload.get("reason") else ""
        return f"{_clock(now)}  {where:24}  camera {payload.get('state')}{reason}"
    if schema.startswith("gap/"):
        numbers = "" if payload.get("first_seq") is None else f" {payload['first_seq']} to {payload.get('last_seq')}"
        lost = f"{payload.get('count')} of class {payload.get('class')}{numbers}"
        return f"{_clock(now)}  {payload.get('node')!s:24}  GIVEN UP {lost}: {payload.get('reason')}"
    return f"{_clock(now)}  {topic}  {json.dumps(payload, ensure_ascii=False)}"


def listen(
    settings: MqttSettings,
    *,
    topic: str,
    out: TextIO,
    as_json: bool = False,
    count: int | None = None,
    seconds: float | None = None,
) -> dict[str, int]:
    """Prints what comes until `count` events or `seconds` have passed; returns the sums.

    Raises:
        TransportRefusedError: when the broker answers no.
        TransportError: when there is no broker.
    """
    inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    client = _subscriber(settings, topic, inbox)
    where = f"broker {settings.host}:{settings.port}"
    try:
        client.connect(settings.host, settings.port, settings.keepalive_s)
    except (OSError, ValueError) as e:
        raise TransportError(f"{where} cannot be reached: {getattr(e, 'strerror', None) or e}") from e
    client.loop_start()
    ledger = Ledger()
    every = topic.split("/")[2:3] in (["+"], ["#"]) or topic.endswith("#")
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while (count is None or ledger.events < count) and (deadline is None or time.monotonic() < deadline):
            left = 3600.0 if deadline is None else min(3600.0, max(0.0, deadline - time.monotonic()))
            try:
                kind, item = inbox.get(timeout=left)
            except queue.Empty:
                continue
            if kind == "refused":
                raise TransportRefusedError(f"{where} refused us: {item}")
            if kind == "lost":
                log.warning("%s: connection lost (%s); trying again", where, item)
            elif kind == "up":
                log.info("%s: listening to %s", where, topic)
            else:
                _show(item, ledger, out, as_json=as_json, every=every)
    finally:
        client.disconnect()
        client.loop_stop()
        client.on_connect = client.on_disconnect = client.on_message = client.on_subscribe = None
    sums = {"events": ledger.events, "duplicates": ledger.duplicates, "given_up": ledger.given_up}
    return {**sums, "missing": ledger.missing if every else 0}


def _subscriber(settings: MqttSettings, topic: str, inbox: "queue.SimpleQueue[tuple[str, Any]]") -> paho.Client:
    # 3.1.1 is spoken by every broker, and nothing of MQTT 5 is needed to listen.
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=MQTTProtocolVersion.MQTTv311
    )
    client.connect_timeout = settings.connect_timeout_s
    client.reconnect_delay_set(1, 30)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if settings.tls:
        client.tls_set_context(tls_context(settings))

    def on_connect(client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            inbox.put(("refused", str(code)))
        else:
            try:
                client.subscribe(topic, qos=1)
            except ValueError as e:
                inbox.put(("refused", f"subscription to {topic}: {e}"))

    def on_subscribe(_client: paho.Client, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        bad = [str(c) for c in codes if c.is_failure]
        inbox.put(("refused", f"subscription to {topic}: {bad[0]}") if bad else ("up", None))

    def on_disconnect(_client: paho.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        inbox.put(("lost", str(code)))

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        inbox.put(("message", message))

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_disconnect, client.on_message = on_disconnect, on_message
    return client


def _show(message: paho.MQTTMessage, ledger: Ledger, out: TextIO, *, as_json: bool, every: bool) -> None:
    text = message.payload.decode(errors="replace")
    try:
        payload = json.loads(text)
    except ValueError:
        payload = text
    schema = str(payload.get("schema", "")) if isinstance(payload, dict) else ""
    fresh = True
    if schema.startswith("event/"):
        try:
            fresh = ledger.note(str(payload["node"]), str(payload["boot_id"]), int(payload["seq"]))
        except (KeyError, TypeError, ValueError):
            log.warning("%s: an event without node, boot_id and seq", message.topic)
    elif schema.startswith("gap/"):
        if isinstance(payload.get("first_seq"), int) and isinstance(payload.get("last_seq"), int):
            ledger.note_gap(payload["first_seq"], payload["last_seq"])
    elif every and not (schema.startswith("state/") or message.topic.endswith("/status")):
        return
    if as_json:
        line = json.dumps({"topic": message.topic, "duplicate": not fresh, "payload": payload}, ensure_ascii=False)
    else:
        line = describe(message.topic, payload, time.time()) + ("" if fresh else "  DUPLICATE")
    out.write(line + "\n")
    out.flush()


def _describe_event(payload: Mapping[str, Any], now: float) -> str:
    found = payload.get("object") or {}
    box = found.get("box")
    where = f"{payload.get('node')}/{payload.get('camera')}"
    text = f"{_clock(now, payload.get('captured_at'))}  {where:24}  {payload.get('type', '?'):6}  "
    count = found.get("count")
    times = f" x{count}" if isinstance(count, int) and count > 1 else ""
    text += f"{str(found.get('label')) + times:20}  {found.get('score', 0):.2f}"
    if box:
        text += "  box " + " ".join(f"{v:.3f}" for v in box)
    age = (payload.get("timing") or {}).get("age_ms")
    if age is not None:
        text += f"  age {age:.0f} ms"
    return text + ("  (replayed)" if payload.get("replayed") else "")


def _clock(now: float, captured_at: Any = None) -> str:
    """Local time of day: of the picture where it is told, else of now."""
    when = datetime.fromtimestamp(now, timezone.utc)
    if isinstance(captured_at, str):
        with contextlib.suppress(ValueError):
            when = datetime.fromisoformat(captured_at.replace("Z", "+00:00"))
    return when.astimezone().strftime("%H:%M:%S.%f")[:-3]
