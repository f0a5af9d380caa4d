"""onnxruntime with its input and outputs bound to memory that stays: what a GPU wants, whose memory is not ours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.runtimes.onnx import OnnxRuntime, onnxruntime

__all__ = ["BoundRuntime"]


class BoundRuntime(OnnxRuntime):
    """Copies each frame into one buffer on `device`, and brings back the results alone.

    Without this onnxruntime allocates and synchronizes for every input and output of every run
    (onnxruntime.ai/docs/performance/tune-performance/iobinding.html).
    """

    def __init__(self, session: Any, name: str, device: str, device_id: int = 0) -> None:
        super().__init__(session, name)
        self._device = device, device_id
        self._values = onnxruntime().OrtValue
        self._binding = session.io_binding()
        self._images: Any = None
        self._bound: tuple[str, ...] | None = None

    def run(self, image: NDArray[np.uint8], names: Sequence[str]) -> list[NDArray[Any]]:
        """See `Runtime`."""
        if self._bound != tuple(names):
            self._bind(image, names)
            self._bound = tuple(names)
        self._images.update_inplace(np.ascontiguousarray(image))
        self._session.run_with_iobinding(self._binding)
        found: list[NDArray[Any]] = self._binding.copy_outputs_to_cpu()
        return found

    def _bind(self, image: NDArray[np.uint8], names: Sequence[str]) -> None:
        device, device_id = self._device
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._images = self._values.ortvalue_from_shape_and_type(image.shape, np.uint8, device, device_id)
        self._binding.bind_ortvalue_input(self._input, self._images)
        for name in names:
            # Allocated by onnxruntime, which alone knows how large they get.
            self._binding.bind_output(name, device, device_id)
