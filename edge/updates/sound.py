"""Whether what a model computes are numbers at all: decoding would quietly leave out what is not."""

import numpy as np

from edge.errors import SessionError
from edge.frame import Image
from edge.inference.stages import Stage, prepare_for

__all__ = ["refuse_what_is_no_number"]


def refuse_what_is_no_number(stage: Stage, image: Image) -> None:
    """Runs a model on an image, uint8 [H, W, 3] BGR, and looks at its outputs as they are.

    Raises:
        SessionError: naming the output that holds NaN or infinity among the rows that count.
    """
    tensor, _ = prepare_for(stage.bundle, image)
    outputs = stage.session.infer(tensor[None])
    count = outputs.get("count")
    rows = None if count is None else int(count[0])
    for name, value in outputs.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value[0][:rows]).all():
            raise SessionError(f"its output {name} is not a number")
