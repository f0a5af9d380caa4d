"""Values that came as text, as the types that the configuration wants.

The lite nucleus hands out every scalar of a recipe's YAML as a string, and a deployment in the console is often typed
as strings: `0.5` is `"0.5"`, `true` is `"true"`, a list may be its JSON. pydantic reads numbers and booleans from
strings by itself; what is left is done here, by the type that a key has, so that a label named `1` stays a label.
"""

import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["coerced"]

_UNSET = frozenset({"", "null", "~"})


def coerced(value: Any, wanted: Any) -> Any:
    """`value` with text turned into what `wanted`, a type or a pydantic model, needs; the rest as it is."""
    kinds = _kinds(wanted)
    if isinstance(value, str):
        value = _from_text(value, kinds)
    for kind in kinds:
        if isinstance(value, Mapping) and _is_model(kind):
            fields = kind.model_fields
            return {k: coerced(v, fields[k].annotation) if k in fields else v for k, v in value.items()}
        if isinstance(value, Mapping) and get_origin(kind) is dict:
            return {k: coerced(v, get_args(kind)[1]) for k, v in value.items()}
        if isinstance(value, list) and get_origin(kind) in {tuple, list}:
            return [coerced(v, get_args(kind)[0]) for v in value]
    return value


def _from_text(text: str, kinds: list[Any]) -> Any:
    if type(None) in kinds and text.strip() in _UNSET:
        return None
    if int in kinds and str in kinds and text.strip().isdecimal():  # a camera's index, not its path
        return int(text)
    holds_others = any(_is_model(kind) or get_origin(kind) in {tuple, list, dict} for kind in kinds)
    if holds_others and text.lstrip()[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _kinds(wanted: Any) -> list[Any]:
    """The members of a union, without what is annotated to them."""
    if get_origin(wanted) is Annotated:
        return _kinds(get_args(wanted)[0])
    if get_origin(wanted) in {Union, types.UnionType}:
        return [kind for member in get_args(wanted) for kind in _kinds(member)]
    return [wanted]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
