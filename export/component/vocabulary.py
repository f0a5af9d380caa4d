"""The words of a recipe, in the case in which the lite nucleus reads them, and how it counts."""

import re
from typing import Any

__all__ = ["KEYS", "LIFECYCLE", "PHASES", "STEP", "VARIABLE", "VARIABLES", "count_items"]

KEYS = frozenset({
    "RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentType", "ComponentDescription",
    "ComponentPublisher", "ComponentConfiguration", "ComponentDependencies", "ComponentSource", "Manifests", "Lifecycle",
})  # fmt: skip

PHASES = ("install", "run", "startup", "shutdown", "recover", "bootstrap")
LIFECYCLE = frozenset({*PHASES, "Setenv", "all"})
STEP = frozenset({"Script", "Setenv", "Timeout", "RequiresPrivilege", "Skipif", "BootstrapOnRollback"})

VARIABLE = re.compile(
    r"(?:(?P<component>[A-Za-z0-9._-]+):)??"
    r"(?:artifacts:(?:path|decompressedPath)|work:path|kernel:rootPath|iot:thingName|configuration:/[^{}]*)"
)
"""What may stand in braces in a script of the classic nucleus; `component` is a dependency's name."""

VARIABLES = re.compile(
    r"artifacts:(?:path|decompressedPath)|work:path|kernel:rootPath|iot:thingName|configuration:/[^{}]*"
)
"""What may stand there on the lite nucleus."""


def count_items(value: Any) -> int:
    """How many objects the lite nucleus needs for a value: one for itself, and in a mapping one a key."""
    if isinstance(value, dict):
        return 1 + sum(1 + count_items(v) for v in value.values())
    if isinstance(value, list):
        return 1 + sum(count_items(v) for v in value)
    return 1
