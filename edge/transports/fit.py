"""Payloads that are too long for a nucleus are shortened, and say so; never a refused message, or a closed connection.

What is worth least goes: of a frame the objects with the lowest scores, of an event its mask and joints, of the birth
certificate the list of labels. `trimmed` in the payload tells what went, and how many.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from edge.message import encode

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
    shorten = _SHORTEN.get(str(told.get("schema")).partition("/")[0]) if isinstance(told, dict) else None
    if shorten is None:
        return None
    try:
        return next((b for shorter, trimmed in shorten(told, room) if len(b := _with(shorter, trimmed)) <= room), None)
    except (KeyError, TypeError, AttributeError):
        return None  # not a payload of ours after all


def _with(payload: dict[str, Any], trimmed: dict[str, int]) -> bytes:
    return encode({**payload, "trimmed": trimmed})


def _frame(told: dict[str, Any], room: int) -> Steps:
    best = sorted(told["objects"], key=lambda o: -o["score"])
    left = room - len(_with({**told, "objects": []}, {"objects": len(best)}))
    keep = 0
    for thing in best:
        left -= len(encode(thing)) + 1
        if left < 0:
            break
        keep += 1
    yield {**told, "objects": best[:keep]}, {"objects": len(best) - keep}


def _event(told: dict[str, Any], _room: int) -> Steps:
    thing, trimmed = dict(told["object"]), {}
    for key in ("mask", "keypoints"):
        if thing.pop(key, None) is not None:
            trimmed[f"object.{key}"] = 1
            yield {**told, "object": thing}, trimmed


def _info(told: dict[str, Any], _room: int) -> Steps:
    labels = told.get("labels") or []
    yield {**told, "labels": None}, {"labels": len(labels)}
    yield {**told, "labels": None, "cameras": {}}, {"labels": len(labels), "cameras": len(told["cameras"])}


def _health(told: dict[str, Any], _room: int) -> Steps:
    yield {**told, "cameras": {}}, {"cameras": len(told["cameras"])}


_SHORTEN: dict[str, Callable[[dict[str, Any], int], Steps]] = {
    "frame": _frame,
    "event": _event,
    "info": _info,
    "health": _health,
}
