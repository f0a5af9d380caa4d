"""The motion gate: still, noisy, moving and masked pictures at a camera's pace, in a clock of their own."""

import json

import numpy as np
import pytest

from edge.cameras.motion import MotionGate
from edge.config import MotionConfig
from edge.health.health import Health

SHAPE = (240, 320, 3)
BASE = np.random.default_rng(0).integers(40, 200, (30, 40, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)


def picture(number, *, thing=None):
    """A still scene with a sensor's noise, and a square of `thing` x, y, side."""
    noise = np.random.default_rng(number).normal(0, 3, SHAPE)
    image = np.clip(BASE + noise, 0, 255).astype(np.uint8)
    if thing is not None:
        x, y, side = thing
        image[y : y + side, x : x + side] = 250
    return image


def passed(gate, frames, *, start=0, fps=10):
    """Which of the frames pass; `frames` is how many still ones, or what each shows."""
    shown = [None] * frames if isinstance(frames, int) else frames
    return [
        gate.passes(picture(start + i, thing=thing), round((start + i) * 1e9 / fps)) for i, thing in enumerate(shown)
    ]


def gate_after_a_still_while(**settings):
    gate = MotionGate(MotionConfig(**{"every_s": 1000, "linger_s": 1, **settings}))
    passed(gate, 60)
    return gate


@pytest.mark.parametrize("algorithm", ["mog2", "knn"])
def test_gate_when_nothing_moves_then_frames_are_spared_but_one_in_every_s(algorithm):
    gate = MotionGate(MotionConfig(algorithm=algorithm, every_s=5, linger_s=1))
    passed(gate, 60)

    later = passed(gate, 200, start=60)

    assert sum(later) == 4, "20 s, one every 5 s"


@pytest.mark.parametrize("algorithm", ["mog2", "knn"])
def test_gate_when_something_moves_then_every_frame_passes_at_once_and_a_while_longer(algorithm):
    gate = gate_after_a_still_while(algorithm=algorithm)

    moving = passed(gate, [(20 + 8 * i, 100, 30) for i in range(20)], start=60)
    after = passed(gate, 40, start=80)

    assert all(moving)
    assert after[:10] == [True] * 10, "it lingers for a second"
    assert not any(after[25:])


def test_gate_when_it_moves_where_it_does_not_count_or_is_too_small_then_frames_are_spared():
    way = [(20 + 8 * i, 20, 30) for i in range(20)]
    top = ((0, 0), (1, 0), (1, 0.4), (0, 0.4))

    assert not any(passed(gate_after_a_still_while(masks=[top]), way, start=60))
    assert not any(passed(gate_after_a_still_while(min_area=0.2), way, start=60))
    assert all(passed(gate_after_a_still_while(), way, start=60))


def test_gate_when_it_is_switched_off_then_every_frame_passes():
    gate = gate_after_a_still_while()
    gate.switch(on=False)

    assert all(passed(gate, 10, start=60))


def test_gate_when_the_camera_comes_back_then_it_learns_its_background_anew():
    gate = gate_after_a_still_while()
    gate.forget()

    assert passed(gate, 1, start=60) == [True]


def test_gate_when_frames_come_faster_than_it_looks_then_the_others_cost_nothing(monkeypatch):
    gate = MotionGate(MotionConfig(fps=5))
    looked = []
    monkeypatch.setattr(gate, "_moves", lambda image: looked.append(image) or False)

    passed(gate, 100, fps=50)

    assert len(looked) == 10


def test_health_when_frames_are_gated_then_the_saving_is_shown():
    health = Health(["c"])
    for _ in range(3):
        health.frame_gated("c")

    assert json.loads(json.dumps(health.figures({})))["cameras"]["c"]["gated"] == 3


def test_gate_when_it_is_told_otherwise_then_so_from_the_next_frame_on():
    gate = MotionGate(MotionConfig(every_s=1000, linger_s=0, fps=100))
    still = np.zeros((48, 64, 3), np.uint8)
    assert all(gate.passes(still, at * 10**8) for at in range(4)), "it is learning"
    assert [gate.passes(still, at * 10**8) for at in range(4, 10)][-1] is False
    assert not gate.passes(still, 2 * 10**9)
    gate.change(MotionConfig(enabled=False))
    assert gate.passes(still, 3 * 10**9)
    gate.change(MotionConfig(every_s=1, linger_s=0, fps=100))
    passed = [gate.passes(still, 4 * 10**9 + at * 10**8) for at in range(60)]
    assert sum(passed[20:]) == 4, "once a second, once it has learnt anew"
