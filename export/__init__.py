"""The workstation's half: a GluonCV model -> graph -> ONNX -> verified -> quantized -> bundle."""
