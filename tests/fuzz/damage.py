"""Ways to damage good bytes: cut, flip, repeat, replace numbers by extremes, swap JSON values."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

__all__ = ["damaged"]

_NUMBERS = [0, 1, -1, 127, 255, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, 2**63 - 1, -(2**63)]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1e308, 2**63, "", "x", "(3, 3)", "(-1,)", "(99999999999, 99999999)", "None", "nan", "inf",
    "../../etc/passwd", "\x00", "A" * 5000, [], [[0, 0, 0]], [[7, 0, 0]], {}, {"a": {}}, "0", "-1", "1e9", "2L", "(0, 0)",
]  # fmt: skip


def damaged(seed: bytes, rng: random.Random) -> bytes:
    """A variant of a good input, from a few random changes."""
    data = seed
    if data[:1] == b"{" and rng.random() < 0.8:
        return _damaged_json(data, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        data = rng.choice([_cut, _flip, _number, _repeat, _remove])(data, rng)
    return data


def _damaged_json(data: bytes, rng: random.Random) -> bytes:
    document = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = _places(document)
        container, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.6:
            container[key] = rng.choice(_VALUES)
        elif kind < 0.75:
            other, at = rng.choice(places)
            container[key] = other[at]
        elif isinstance(container, dict):
            del container[key]
        else:
            container.insert(key, container[key])
        if not isinstance(document, dict):
            break
    try:
        return json.dumps(document).encode()
    except ValueError:  # it now holds itself
        return data[: rng.randrange(len(data))]


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [document]
    while pending and len(found) < 5000:
        value = pending.pop()
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else range(len(value))
            found.extend((value, key) for key in keys)
            pending.extend(value[key] for key in keys)
    return found or [({"x": 0}, "x")]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\xff"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _number(data: bytes, rng: random.Random) -> bytes:
    size, layout = rng.choice([(1, "<B"), (4, "<I"), (8, "<Q"), (4, ">I")])
    if len(data) < size:
        return data
    # Most numbers that matter stand at the start.
    at = rng.randrange(min(len(data) - size + 1, 64 if rng.random() < 0.5 else len(data)))
    value = rng.choice(_NUMBERS) & ((1 << (8 * size)) - 1)
    return data[:at] + struct.pack(layout, value) + data[at + size :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data) + 1)
    return data[:begin] + data[begin : begin + rng.randrange(1, 600)] + data[begin:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data) + 1)
    return data[:begin] + data[begin + rng.randrange(1, 64) :]
