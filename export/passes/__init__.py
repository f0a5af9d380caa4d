"""Rewrites of a `Program`, each in its own file: `requires -> change -> ensures`."""

from __future__ import annotations

from export.program import Program

__all__ = ["optimize"]


def optimize(program: Program) -> None:
    """Run every pass, in the order that lets one feed the next."""
    program.prune()
