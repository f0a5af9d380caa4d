"""How the node itself is: its heat, what it gives up to stay cool or quick, and the page that tells the figures."""

from edge.vitals.board import Board, Heat
from edge.vitals.governor import Governor
from edge.vitals.vitals import Vitals

__all__ = ["Board", "Governor", "Heat", "Vitals"]
