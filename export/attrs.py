"""Typed reading of MXNet's attributes, which are strings on disk: each getter states the operator's default."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from export.errors import UnsupportedError

__all__ = ["HOW_TO_ADD", "REQUIRED", "Attrs"]

HOW_TO_ADD: Final = "docs/add-an-operator.md says how to add it"

T = TypeVar("T")


class _Required:
    """Stands for 'MXNet has no default for this attribute'."""


REQUIRED: Final = _Required()

# Speed hints and shape-inference hints; none of them changes what is computed.
_NO_MEANING: Final = frozenset(
    {"workspace", "cudnn_tune", "cudnn_off", "num_args", "ctx", "no_bias_fusion", "momentum", "use_global_stats"}
)
# What users of old versions wrote on nodes for training alone; later ones hide it in double underscores.
_TRAINING: Final = ("lr_mult", "wd_mult", "ctx_group", "force_mirroring", "mirror_stage")
_MAX_SHOWN: Final = 200
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)L?", re.ASCII)


class Attrs:
    """The attributes of one node, read by type; what was never read can be listed, so that nothing is skipped."""

    def __init__(self, values: Mapping[str, str], *, op: str, node: str) -> None:
        self._values = dict(values)
        self._op = op
        self._node = node
        self._read: set[str] = set()

    @property
    def op(self) -> str:
        """The operator's name, for converters that serve several."""
        return self._op

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def as_dict(self) -> dict[str, str]:
        """The raw strings, as they stand in the symbol."""
        return dict(self._values)

    def unread(self) -> list[str]:
        """Names that carry meaning and that no getter asked for, sorted."""
        return sorted(
            name
            for name in self._values
            if name not in self._read and name not in _NO_MEANING and not name.startswith("__") and not _trains(name)
        )

    def ignore(self, *names: str) -> None:
        """Declare attributes that do not change the result at inference."""
        self._read.update(names)

    def integer(self, name: str, default: int | _Required = REQUIRED) -> int:
        """An integer; `3L`, as Python 2 wrote it, counts."""
        number = self.number(name, default)
        if not math.isfinite(number) or number != int(number):
            raise self.unsupported(name, "an integer is expected")
        return int(number)

    def optional_integer(self, name: str, default: int | None = None) -> int | None:
        """An integer, or None where the symbol says so."""
        return None if self._raw(name) in {None, "None"} and default is None else self.integer(name, default or 0)

    def number(self, name: str, default: float | _Required = REQUIRED) -> float:
        """A real number."""
        raw = self._raw(name)
        if raw is None:
            return self._default(name, default)
        if raw in {"True", "False"}:
            return float(raw == "True")
        if not _NUMBER.fullmatch(raw):
            raise self.unsupported(name, "a number is expected")
        return float(raw.rstrip("L"))

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or False, written as a word or as 1 and 0."""
        raw = self._raw(name)
        if raw is None:
            return default
        if raw not in {"True", "False", "true", "false", "1", "0"}:
            raise self.unsupported(name, "True or False is expected")
        return raw in {"True", "true", "1"}

    def choice(self, name: str, known: Collection[str], default: str | _Required = REQUIRED) -> str:
        """One of the words that the converter knows; any other is refused by name."""
        raw = self._raw(name)
        word = self._default(name, default) if raw is None else raw
        if word not in known:
            raise self.unsupported(name, f"supported: {', '.join(sorted(known))}")
        return word

    def integers(self, name: str, default: tuple[int, ...] | _Required = REQUIRED) -> tuple[int, ...]:
        """A tuple of integers; a single integer counts as a tuple of one, an empty tuple as absent."""
        values = self.optional_integers(name)
        if not values:
            return self._default(name, default)
        if any(value is None for value in values):
            raise self.unsupported(name, "None is not expected here")
        return tuple(value for value in values if value is not None)

    def optional_integers(self, name: str) -> tuple[int | None, ...]:
        """A tuple of integers or None, as `slice` has it; empty when absent or `None`."""
        values = self._numbers(name)
        if any(value is not None and not math.isfinite(value) for value in values):
            raise self.unsupported(name, "finite numbers are expected")
        return tuple(None if value is None else int(value) for value in values)

    def numbers(self, name: str, default: tuple[float, ...] | _Required = REQUIRED) -> tuple[float, ...]:
        """A tuple of real numbers."""
        values = tuple(number for number in self._numbers(name) if number is not None)
        return values or self._default(name, default)

    def require(self, name: str, wanted: str, default: str) -> None:
        """Refuse every value of an attribute but one."""
        self.choice(name, {wanted}, default)

    def unsupported(self, name: str, why: str) -> UnsupportedError:
        """The error for an attribute's value; the caller raises it."""
        value = self._values.get(name)
        if value is not None and len(value) > _MAX_SHOWN:
            value = f"{value[:_MAX_SHOWN]}..."
        return UnsupportedError(
            f"operator {self._op} of node {self._node!r}: attribute {name}={value!r} is not supported ({why}); "
            f"{HOW_TO_ADD}",
            op=self._op,
            node=self._node,
            attribute=name,
        )

    def refuse(self, why: str) -> UnsupportedError:
        """The error for a use of the operator as a whole; the caller raises it."""
        return UnsupportedError(
            f"operator {self._op} of node {self._node!r}: {why}; {HOW_TO_ADD}", op=self._op, node=self._node
        )

    def _numbers(self, name: str) -> tuple[float | None, ...]:
        raw = self._raw(name)
        if raw is None or raw == "None":
            return ()
        words = [word.strip() for word in raw.strip("()[] ").split(",")]
        values: list[float | None] = []
        for word in words:
            if word in {"None", "-1e+308"}:
                values.append(None)
            elif word and _NUMBER.fullmatch(word):
                values.append(float(word.rstrip("L")))
            elif word:
                raise self.unsupported(name, "a tuple of numbers is expected")
        return tuple(values)

    def _raw(self, name: str) -> str | None:
        self._read.add(name)
        return self._values.get(name)

    def _default(self, name: str, default: T | _Required) -> T:
        if isinstance(default, _Required):
            raise self.unsupported(name, "it is required")
        return default


def _trains(name: str) -> bool:
    """`lr_mult`, and `weight_lr_mult` for what belongs to one of the node's own parameters."""
    return name in _TRAINING or name.endswith(tuple(f"_{word}" for word in _TRAINING))
