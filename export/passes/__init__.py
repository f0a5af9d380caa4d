"""Rewrites of a `Program`, each in its own file: `requires -> change -> ensures`."""

from __future__ import annotations

from export.passes.drop_identity import drop_identity
from export.passes.fold_batch_norm import fold_batch_norm
from export.passes.fold_input_scale import fold_input_scale
from export.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from export.passes.merge_casts import merge_casts
from export.passes.merge_resizes import merge_resizes
from export.passes.split_deconvolution import split_deconvolution
from export.passes.winograd import winograd
from export.program import Program

__all__ = [
    "drop_identity",
    "fold_batch_norm",
    "fold_input_scale",
    "fuse_hard_sigmoid",
    "merge_casts",
    "merge_resizes",
    "optimize",
    "split_deconvolution",
    "winograd",
]


def optimize(program: Program) -> None:
    """Run every pass, in the order that lets one feed the next."""
    program.prune()
    drop_identity(program)
    fold_batch_norm(program)
    fold_input_scale(program)
    split_deconvolution(program)
    merge_casts(program)
    merge_resizes(program)
    fuse_hard_sigmoid(program)
    program.prune()
