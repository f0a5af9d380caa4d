"""The agent on the camera node: camera -> frame -> tensor -> inference -> results -> events -> transport."""

import os

__all__ = ["__version__"]

__version__ = "0.1.0"

# onnxruntime (from 1.31 on Linux too) makes a device id and reports its use to its makers over the network. It decides when
# it is loaded, so this stands before anything that loads it. A node talks to its broker, its cameras and nobody else.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
