"""`payload = "aws-ml-v1"`: the messages of AWS's own ML components, for those who leave DLR or TensorFlow Lite.

Topics and JSON are those of aws.greengrass.DLRObjectDetection, DLRImageClassification and their TensorFlow Lite twins,
byte for byte: scores are text, and boxes are numpy's text of a float32 array, because that is what they sent. The
component's source is public (awslabs/aws-greengrass-labs-ml-components); nothing of it is here.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import numpy as np

from edge.bundle.bundle import Bundle
from edge.clock import Clock
from edge.config import AwsMlConfig
from edge.delivery.outbox import Outbox
from edge.errors import ConfigError
from edge.frame import Frame
from edge.inference.stages import Timing
from edge.message import IllegalMessageError, Importance, Message
from edge.prepare import placement_of
from edge.results import Classification, Detections, Result

__all__ = ["AwsMl", "default_topic"]

log = logging.getLogger(__name__)

_TYPES = {"detection": "object-detection", "classification": "image-classification"}

Seen = Callable[[Frame, Result, Timing], None]
Gone = Callable[[str], None]


def default_topic(task: str) -> str:
    """`ml/onnx/object-detection`, `ml/onnx/image-classification`; theirs have `dlr` or `tflite` in the middle."""
    return f"ml/onnx/{_TYPES[task]}"


class AwsMl:
    """Tells the outbox in AWS's words too, at most once in `every_s` a camera; `seen` and `gone` are who comes first."""

    def __init__(
        self,
        bundle: Bundle,
        outbox: Outbox,
        config: AwsMlConfig,
        clock: Clock,
        *,
        threshold: Callable[[], float],
        seen: Seen,
        gone: Gone,
    ) -> None:
        self._bundle, self._outbox, self._config, self._clock = bundle, outbox, config, clock
        self._task = bundle.manifest.task
        if self._task not in _TYPES:
            raise ConfigError(
                f"payload: aws-ml-v1 has words for {' and '.join(_TYPES)}, the model {bundle.path} is for {self._task}; "
                'set it to "native"'
            )
        self._topic = config.topic or default_topic(self._task)
        self._threshold = threshold
        self._seen, self._gone = seen, gone
        self._due_ns: dict[str, int] = {}

    def seen(self, frame: Frame, result: Result, timing: Timing) -> None:
        """A frame went through the model."""
        self._seen(frame, result, timing)
        if frame.mono_ns >= self._due_ns.get(frame.camera, 0):
            self._due_ns[frame.camera] = frame.mono_ns + round(self._config.every_s * 1e9)
            body = json.dumps(self.payload(frame, result)).encode()
            try:
                self._outbox.put(Message(self._topic, body, Importance.B, stamped=False))
            except IllegalMessageError:
                log.exception("a message on %s cannot be sent", self._topic)

    def gone(self, camera: str) -> None:
        """A camera is away."""
        self._gone(camera)

    def payload(self, frame: Frame, result: Result) -> dict[str, Any]:
        """What AWS's component would have sent of this frame."""
        now = datetime.fromtimestamp(self._clock.wall_ns() / 1e9, tz=timezone.utc)
        return {
            "timestamp": str(now),
            "inference-type": _TYPES[self._task],
            "inference-description": f"Top {self._config.results} predictions with score {self._threshold()} or above ",
            "inference-results": self._results(frame, result),
        }

    def _results(self, frame: Frame, result: Result) -> list[dict[str, str]]:
        if not isinstance(result, (Classification, Detections)):
            raise TypeError(f"{type(result).__name__} has no place in AWS's messages")
        least = self._threshold()
        best = [i for i in range(len(result.scores)) if result.scores[i] >= least][: self._config.results]
        told = [{"Label": self._bundle.labels[int(result.labels[i])], "Score": str(result.scores[i])} for i in best]
        if isinstance(result, Detections):
            for i, entry in zip(best, told, strict=True):
                entry["Boundaries"] = str(self._boundaries(frame, result.boxes[i]))
        return told

    def _boundaries(self, frame: Frame, box: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
        """A box float32 [4], x1 y1 x2 y2 in pixels of the frame -> float32 [4] in their terms."""
        if self._config.boundaries == "tflite":
            shares = box / np.array([frame.width, frame.height] * 2, np.float32)
            return shares[[1, 0, 3, 2]]
        spec = self._bundle.manifest.input
        placement = placement_of(
            frame.width,
            frame.height,
            height=spec.height,
            width=spec.width,
            resize=spec.resize,
            crop_ratio=spec.crop_ratio,
        )
        return placement.points_to_input(box.reshape(2, 2)).reshape(4)
