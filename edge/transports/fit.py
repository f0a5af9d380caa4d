"""Payloads that are too long for a nucleus are shortened, and say so; never a refused message, or a closed connection.

What is worth least goes: of a frame the objects with the lowest scores, of an event its mask and joints, of the birth
certificate the list of labels. `trimmed` in the payload tells what went, and how many.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["fit"]

Steps = Iterator[tuple[dict[str, Any], dict[str, int]]]


def fit(payload: bytes, room: int) -> bytes | None:
    """`payload` in at most `room` bytes; None when nothing of it can be left out to make it that short."""
    if len(payload) <= room:
        return payload
    try:
        told = json.loads(payload)
    except ValueError:
        return None
    shorten = _SHORTEN.get(told.get("schema", "").partition("/")[0]) if isinstance(told, dict) else None
    for shorter, trimmed in shorten(told) if shorten is not None else ():
        if len(body := _encode({**shorter, "trimmed": trimmed})) <= room:
            return body
    return None


def _encode(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _frame(told: dict[str, Any]) -> Steps:
    best = sorted(told["objects"], key=lambda o: -o["score"])
    for keep in range(len(best) - 1, -1, -1):
        yield {**told, "objects": best[:keep]}, {"objects": len(best) - keep}


def _event(told: dict[str, Any]) -> Steps:
    thing, trimmed = dict(told["object"]), {}
    for key in ("mask", "keypoints"):
        if thing.pop(key, None) is not None:
            trimmed[f"object.{key}"] = 1
            yield {**told, "object": thing}, trimmed


def _info(told: dict[str, Any]) -> Steps:
    labels = told.get("labels") or []
    yield {**told, "labels": None}, {"labels": len(labels)}
    yield {**told, "labels": None, "cameras": {}}, {"labels": len(labels), "cameras": len(told["cameras"])}


def _health(told: dict[str, Any]) -> Steps:
    yield {**told, "cameras": {}}, {"cameras": len(told["cameras"])}


_SHORTEN: dict[str, Callable[[dict[str, Any]], Steps]] = {
    "frame": _frame,
    "event": _event,
    "info": _info,
    "health": _health,
}
