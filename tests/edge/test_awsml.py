"""AWS's own messages: the bytes that their components sent, from our results."""

import json
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.aws.ml import AwsMl, default_topic
from edge.bundle.bundle import InputSpec
from edge.clock import Clock
from edge.config import AwsMlConfig
from edge.frame import Frame
from edge.inference.stages import Timing
from edge.prepare import placement_of, prepare
from edge.results import Classification, Detections, Segmentation

TIMING = Timing(1.0, 2.0, 3.0)
NOW = 1_609_459_200_123_456_000


class Box:
    def __init__(self):
        self.messages = []

    def put(self, message):
        self.messages.append(message)


def frame(mono_s=0.0, width=1280, height=720):
    image = np.zeros((height, width, 3), np.uint8)
    return Frame(camera="door", id=1, image=image, captured_ns=NOW, mono_ns=round(mono_s * 1e9))


def teller(task, config=None, **spec):
    bundle = SimpleNamespace(
        manifest=SimpleNamespace(task=task, input=InputSpec(height=512, width=512, **spec)),
        labels=("person", "cat, tiger cat", "café"),
    )
    box, passed = Box(), []
    made = AwsMl(
        bundle, box, config or AwsMlConfig(), Clock(wall_ns=lambda: NOW), threshold=lambda: 0.3,
        seen=lambda *a: passed.append(a), gone=passed.append,
    )  # fmt: skip
    return made, box, passed


def detections(*rows):
    boxes, scores, labels = zip(*rows, strict=True)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int64))


def test_detection_when_told_then_the_bytes_are_those_of_awss_component():
    made, box, passed = teller("detection")
    found = detections(((128.0, 72.0, 640.0, 360.0), 0.98, 1), ((0, 0, 1280, 720), 0.5, 0), ((0, 0, 1, 1), 0.29, 0))

    made.seen(frame(), found, TIMING)

    [message] = box.messages
    assert message.topic == "ml/onnx/object-detection"
    assert message.body == (
        b'{"timestamp": "2021-01-01 00:00:00.123456+00:00", "inference-type": "object-detection", '
        b'"inference-description": "Top 5 predictions with score 0.3 or above ", "inference-results": ['
        b'{"Label": "cat, tiger cat", "Score": "0.98", "Boundaries": "[ 51.2  51.2 256.  256. ]"}, '
        b'{"Label": "person", "Score": "0.5", "Boundaries": "[  0.   0. 512. 512.]"}]}'
    )
    assert message.payload(sent_at="later", replayed=True) == message.body, "nothing is added on the way"
    assert len(passed) == 1, "and the events are told as ever"


def test_boundaries_when_their_own_subscriber_reads_them_then_they_are_four_numbers():
    made, box, _ = teller("detection")
    made.seen(frame(), detections(((100.7, 50.2, 900.1, 700.9), 0.9, 0)), TIMING)

    text = json.loads(box.messages[0].body)["inference-results"][0]["Boundaries"]

    assert re.fullmatch(r"\[[-0-9. e]+\]", text)
    numbers = [float(v) for v in text[1:-1].split()]
    assert numbers == pytest.approx([100.7 / 2.5, 50.2 / 720 * 512, 900.1 / 2.5, 700.9 / 720 * 512], abs=1e-3)


def test_boundaries_when_tensorflow_lites_are_asked_for_then_they_are_shares_with_y_first():
    made, box, _ = teller("detection", AwsMlConfig(boundaries="tflite", topic="ml/tflite/object-detection"))
    made.seen(frame(), detections(((128.0, 72.0, 640.0, 360.0), 0.9, 0)), TIMING)

    assert box.messages[0].topic == "ml/tflite/object-detection"
    assert json.loads(box.messages[0].body)["inference-results"][0]["Boundaries"] == "[0.1 0.1 0.5 0.5]"


def test_classification_when_told_then_the_best_come_first_with_label_and_score_only():
    made, box, _ = teller("classification", AwsMlConfig(results=2))
    scores = np.array([0.6, 0.4, 0.35], np.float32)
    made.seen(frame(), Classification(np.array([2, 1, 0]), scores), TIMING)

    told = json.loads(box.messages[0].body)
    assert told["inference-type"] == "image-classification"
    assert told["inference-description"] == "Top 2 predictions with score 0.3 or above "
    assert told["inference-results"] == [
        {"Label": "café", "Score": "0.6"},
        {"Label": "cat, tiger cat", "Score": "0.4"},
    ]
    assert b"caf\\u00e9" in box.messages[0].body


def test_results_when_there_are_none_then_the_message_says_so_as_theirs_did():
    made, box, _ = teller("detection")
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    made.seen(frame(), none, TIMING)

    assert json.loads(box.messages[0].body)["inference-results"] == []


def test_messages_when_frames_come_often_then_one_an_interval_goes_out():
    made, box, _ = teller("classification", AwsMlConfig(every_s=10))
    for second in range(35):
        made.seen(frame(mono_s=second), Classification(np.array([0]), np.array([0.9], np.float32)), TIMING)

    assert len(box.messages) == 4
    made.gone("door")


def test_payload_when_the_model_makes_masks_then_it_is_an_error():
    made, _, _ = teller("detection")
    with pytest.raises(TypeError, match="Segmentation"):
        made.payload(frame(), Segmentation(np.zeros((2, 2), np.uint8)))


def test_topic_when_nothing_is_configured_then_it_names_the_task():
    assert default_topic("classification") == "ml/onnx/image-classification"


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (333, 777), (64, 64), (1, 900)])
def test_placement_when_asked_for_then_it_is_the_one_that_prepare_uses(resize, width, height):
    image = cv2.randu(np.zeros((height, width, 3), np.uint8), 0, 255)

    _, used = prepare(image, height=300, width=224, resize=resize)

    assert placement_of(width, height, height=300, width=224, resize=resize) == used
