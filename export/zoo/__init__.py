"""GluonCV's zoo: what there is, building it, and what MXNet computes from it. The only package that knows MXNet."""

from __future__ import annotations

from export.zoo.construct import Saved, build
from export.zoo.pictures import pictures
from export.zoo.run import reference, reference_layers
from export.zoo.samples import sample_inputs, sample_shapes
from export.zoo.table import ZooNet, find, list_nets

__all__ = [
    "Saved",
    "ZooNet",
    "build",
    "find",
    "list_nets",
    "pictures",
    "reference",
    "reference_layers",
    "sample_inputs",
    "sample_shapes",
]
