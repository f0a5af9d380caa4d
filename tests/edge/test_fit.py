"""Payloads that are too long: shortened by what is worth least, still legal by their schema, never longer than asked."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge
from edge.transports.fit import fit

SCHEMAS = Path(edge.__file__).parent / "schemas"
STAMPS = {"sent_at": "2026-11-22T10:00:00.000000Z", "replayed": False}
HEAD = {"boot_id": "0" * 26, "node": "kerb-1"}
TIMING = {"age_ms": 1.0, "pre_ms": 1.0, "infer_ms": 1.0, "post_ms": 1.0}


def frame(scores):
    things = [{"label": "person", "label_id": 1, "score": s, "box": [0.1, 0.2, 0.3, 0.4]} for s in scores]
    return {
        "schema": "frame/1.0",
        **HEAD,
        "camera": "door",
        "captured_at": STAMPS["sent_at"],
        "mono_ns": 1,
        "frame": {"id": 1, "width": 640, "height": 480},
        "objects": things,
        "timing": TIMING,
        **STAMPS,
    }


def encoded(payload):
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def valid(payload):
    name = payload["schema"].replace("/", "-")
    jsonschema.validate(payload, json.loads((SCHEMAS / f"{name}.json").read_text()))


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.floats(0, 1), max_size=300), room=st.integers(0, 40_000))
def test_frame_when_room_is_short_then_the_best_stay_and_the_rest_is_counted(scores, room):
    body = encoded(frame(scores))

    short = fit(body, room)

    if short is None:
        assert room < len(encoded({**frame([]), "trimmed": {"objects": 300}}))
        return
    assert len(short) <= room
    told = json.loads(short)
    kept = [o["score"] for o in told["objects"]]
    if len(body) <= room:
        assert short == body
    else:
        valid(told)
        assert kept == sorted(scores, reverse=True)[: len(kept)]
        assert told["trimmed"] == {"objects": len(scores) - len(kept)}
        one_more = len(encoded(frame([0.123456789012345])["objects"][0])) + 8
        assert len(kept) + 1 >= len(scores) or len(short) + one_more + 16 > room, "there was room for more"


def test_info_when_room_is_short_then_the_labels_go():
    info = {
        "schema": "info/1.0",
        **HEAD,
        "started_at": STAMPS["sent_at"],
        "version": "1",
        "schemas": [],
        "hardware": {"machine": "aarch64", "model": None, "cores": 4},
        "runtime": {"python": "3.11", "provider": "cpu", "fell_away": {}},
        "cameras": {"door": {"kind": "v4l2", "enabled": True}},
        "model": {"name": "m", "version": "1.0.0", "sha256": "0" * 64, "precision": "int8", "provider": "cpu"},
        "classes": 200,
        "labels": [{"label": f"label {i}", "topic": f"label_{i}"} for i in range(200)],
        **STAMPS,
    }
    valid(info)

    told = json.loads(fit(encoded(info), 2000) or b"null")

    valid(told)
    assert told["labels"] is None
    assert told["trimmed"] == {"labels": 200}


@pytest.mark.parametrize(
    "body", [b"\xff" * 100, b'"text"' * 50, b"[]" * 50, b'{"schema":"frame/1.0"' + b" " * 100 + b"}"]
)
def test_bytes_when_they_are_nothing_that_can_be_shortened_then_none(body):
    assert fit(body, 50) is None
    assert fit(body, 1000) == body
