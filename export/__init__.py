"""The workstation's half: a GluonCV model -> graph -> ONNX -> verified -> quantized -> bundle."""

import edge  # noqa: F401 - switches onnxruntime's telemetry off before anything here loads it
