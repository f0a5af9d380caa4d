"""Models that give masks and joints, in the agent, through a real broker."""

import bundles
import pytest
from test_agent import assert_valid

FRAMES = [{}] * 5 + [{"red": (40, 20, 60)}] * 15 + [{"red": (40, 20, 60), "blue": (100, 60, 48)}] * 20 + [{}] * 20


@pytest.mark.parametrize(
    ("make", "label", "key"),
    [(bundles.segmentation_bundle, "blue", "mask"), (bundles.pose_bundle, "person", "keypoints")],
)
def test_run_when_the_model_gives_masks_or_joints_then_events_have_them(
    make, label, key, broker, listen, run_agent, config, tmp_path
):
    bundle = make(tmp_path / "bundle")
    video = bundles.squares_video(tmp_path / "v.avi", FRAMES)
    subscriber = listen(broker)
    camera = f'[cameras.door]\nsource = "{video}"\n[cameras.door.zones.all]\ncorners = [[0, 0], [1, 0], [1, 1], [0, 1]]'
    agent = run_agent(config(broker, camera), GLUON_EDGE_MODEL__BUNDLE=str(bundle))

    assert agent.wait(30) == 0, agent.said
    subscriber.wait_for("/status", lambda p: p == "stopped")
    events = subscriber.events("door")

    assert [(e["type"], e["object"]["label"]) for e in events] == [("new", label), ("end", label)]
    assert all(e["object"][key] for e in events)
    assert subscriber.payloads(f"door/count/{label}") == [0, 1, 0]
    assert_valid(subscriber.messages)
    (info, *_) = subscriber.payloads("n1/info")
    assert info["cameras"]["door"]["zones"] == ["all"]
    if key == "keypoints":
        assert info["keypoints"] == ["left", "right", "foot"]
        assert subscriber.payloads("door/zone/all/count/person") == [0, 1, 0]
        assert events[0]["object"]["box"] == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.02)
