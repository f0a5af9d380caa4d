"""The messages of AWS's own ML components over plain MQTT, beside ours: for people who leave those components."""

import json
import re
import signal

import bundles


def test_run_when_awss_payload_is_asked_for_then_a_subscriber_of_theirs_reads_it_and_ours_goes_on(
    broker, listen, run_agent, config, tmp_path
):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 20)
    theirs, ours = listen(broker, "ml/#"), listen(broker)
    toml = config(broker, f'[aws_ml]\nevery_s = 0.2\n[cameras.door]\nsource = "{video}"\nloop = true\n')
    agent = run_agent('payload = "aws-ml-v1"\n' + toml)

    event = ours.wait_for("/event", seconds=60)
    theirs.wait_for("ml/onnx/object-detection", seconds=60)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0, agent.said

    message = next(m for m in theirs.messages if json.loads(m.payload)["inference-results"])
    assert (message.topic, message.retain) == ("ml/onnx/object-detection", False)
    # These keys in this order, numbers as text, boxes as numpy prints them, one line: docs/migrating.md.
    number = r"-?[0-9.]+(?:e-?[0-9]+)?"
    shape = (
        r'\{"timestamp": ?"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00", ?"inference-type": ?"object-detection", ?'
        r'"inference-description": ?"Top 5 predictions with score 0\.\d+ or above ", ?"inference-results": ?\['
        rf'\{{"Label": ?"red", ?"Score": ?"{number}", ?"Boundaries": ?"\[ *{number}(?: +{number}){{3}}\]"\}}\]\}}'
    )
    assert re.fullmatch(shape, message.payload.decode()), message.payload
    first = json.loads(message.payload)["inference-results"][0]
    box = [float(v) for v in first["Boundaries"].strip("[]").split()]
    seen = event["object"]["box"]
    # Theirs are pixels of the model's input, ours shares of the frame: as wide as they are high in both.
    assert 0 <= box[0] < box[2] <= 128
    assert abs((box[2] - box[0]) / 128 - (seen[2] - seen[0])) < 0.05
    assert 0.3 < float(first["Score"]) <= 1
