"""Values of the command line, checked: each function takes the word and gives the value, or says what it should be.

All of them raise `argparse.ArgumentTypeError`.
"""

from __future__ import annotations

import argparse
import math
import re

__all__ = ["alias", "finite", "name", "positive", "shape", "size", "triple", "unit"]


def size(text: str) -> tuple[int, int]:
    """`512x512`: height and width in pixels."""
    try:
        height, width = (int(v) for v in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, such as 512x512") from None
    if not (1 <= height <= 8192 and 1 <= width <= 8192):
        raise argparse.ArgumentTypeError(f"{text!r}: sides from 1 to 8192 pixels")
    return height, width


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """`data=1x3x64x64`: an input's name and sizes."""
    name, equals, dims = text.partition("=")
    sizes = [int(word) for word in dims.split("x") if re.fullmatch(r"[1-9]\d{0,4}", word, re.ASCII)]
    if not name or not equals or len(sizes) != dims.count("x") + 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SIZES, such as data=1x3x64x64")
    return name, tuple(sizes)


def alias(text: str) -> tuple[str, str]:
    """`person=pedestrian`: what the data calls it, and the bundle."""
    theirs, equals, ours = text.partition("=")
    if not equals or not theirs.strip() or not ours.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not DATA=LABEL, such as person=pedestrian")
    return theirs, ours


def triple(text: str) -> tuple[float, float, float]:
    """`r,g,b`: three finite numbers."""
    try:
        r, g, b = (finite(v) for v in text.split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers r,g,b, such as 0.485,0.456,0.406") from None
    return r, g, b


def unit(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def finite(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def name(text: str) -> str:
    """A bundle's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits, '.', '_' and '-' only, a letter or digit first")
    return text
