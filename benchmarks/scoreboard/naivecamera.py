"""What is written first: read, if that fails open again, infer, publish. `naivecamera BUNDLE URL PORT`."""

import json
import os
import sys
import time
from pathlib import Path

import cv2
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.bundle.bundle import read_bundle
from edge.inference.stages import Stage


def main() -> None:
    """Until it is terminated."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"  # the only one that this camera has
    stage = Stage(read_bundle(Path(sys.argv[1])))
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", int(sys.argv[3]))
    client.loop_start()
    capture = cv2.VideoCapture(sys.argv[2])
    while True:
        ok, frame = capture.read()
        if not ok:
            capture = cv2.VideoCapture(sys.argv[2])
            continue
        taken_ns = time.monotonic_ns()
        result, _ = stage(frame)  # type: ignore[arg-type]
        found = {"mono_ns": taken_ns, "objects": [{"score": float(s)} for s in getattr(result, "scores", [])]}
        client.publish("edge/n1/gate/frame", json.dumps(found))


if __name__ == "__main__":
    main()
