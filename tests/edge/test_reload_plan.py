"""What a configuration that is read again asks for."""

import pytest

from edge.config.reload import plan


@pytest.mark.parametrize(
    ("changed", "live", "cameras"),
    [
        (["events.hold_s", "events.labels", "model.threshold", "health.every_s"], True, set()),
        (["snapshots.max_bytes"], True, set()),
        (["cameras.door.source", "cameras.door.privacy", "cameras.yard-2.width"], True, {"door", "yard-2"}),
        (["snapshots.enabled"], False, set()),
        (["cameras.door"], False, set()),
        (["cameras.door.enabled", "cameras.door.motion.fps", "cameras.yard.motion.enabled"], True, set()),
        (["cameras.door.fps", "cameras.yard.enabled"], True, {"door"}),
        (["cameras.door.motion"], False, set()),
        (["cameras.door.pace"], False, set()),
        (["events.hold_s", "mqtt.broker"], False, set()),
        (["model.bundle"], False, set()),
        (["transport"], False, set()),
    ],
)
def test_plan_when_keys_changed_then_no_more_is_stopped_than_has_to_be(changed, live, cameras):
    found = plan(changed)

    assert found.live is live
    assert found.cameras == (cameras if live else set())


def test_plan_when_cameras_are_switched_or_asked_for_another_rate_then_it_says_which():
    found = plan(["cameras.door.fps", "cameras.yard.enabled", "cameras.gate.source"])

    assert found.switched == {"yard"}
    assert found.paced == {"door"}
