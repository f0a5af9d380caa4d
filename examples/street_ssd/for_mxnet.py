"""What must be so before MXNet is imported."""

from __future__ import annotations

import os

import numpy as np

# MXNet 1.9.1 asks numpy for names that numpy has dropped; and its graph rewriting would fold away what is trained.
for _type in (bool, int, float, object, str, complex):
    if _type.__name__ not in vars(np):
        setattr(np, _type.__name__, _type)
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "NONE")
