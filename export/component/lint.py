"""What is wrong with a component's recipe, anybody's: the limits of the cloud and of both nuclei, and habits that bite.

The numbers are from AWS's developer guide and from measurements on nucleus lite 2.6: a recipe that the cloud takes can
still be one that the lite nucleus refuses, or, worse, reads wrongly without a word.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from export.component.vocabulary import KEYS, LIFECYCLE, PHASES, STEP, VARIABLE, VARIABLES, count_items
from export.errors import ExportError

__all__ = ["Finding", "RecipeError", "lint", "read_recipe"]

Severity = Literal["error", "warning"]
Nucleus = Literal["both", "classic", "lite"]

CLOUD_BYTES, LITE_BYTES, LITE_ITEMS = 16_000, 8_196, 255
_MAX_BYTES = 1 << 20
_NAME = re.compile(r"^[a-zA-Z0-9._-]{1,128}$")
_VERSION = re.compile(r"^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$")
_BRACES = re.compile(r"\{([^{}]*)\}?")


class RecipeError(ExportError):
    """A file that is no recipe at all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: where in the recipe, what, and what to do. `code` never changes its meaning."""

    severity: Severity
    code: str
    where: str
    what: str


def read_recipe(path: Path) -> tuple[dict[str, Any], int]:
    """A recipe, YAML or JSON, and how many bytes it has.

    Raises:
        RecipeError: when it cannot be read, or is not a mapping.
    """
    try:
        with path.open("rb") as f:
            raw = f.read(_MAX_BYTES + 1)
    except OSError as e:
        raise RecipeError(f"{path}: {e.strerror}") from e
    if len(raw) > _MAX_BYTES:
        raise RecipeError(f"{path}: larger than {_MAX_BYTES} bytes; is it a recipe?")
    try:
        recipe = json.loads(raw) if path.suffix.lower() == ".json" else _load(raw)
    except (ValueError, yaml.YAMLError, RecursionError) as e:
        problem = " ".join(str(e).split())
        raise RecipeError(f"{path}: neither YAML nor JSON: {problem}") from e
    if not isinstance(recipe, dict):
        raise RecipeError(f"{path}: holds no mapping; a recipe begins with RecipeFormatVersion")
    return recipe, len(raw)


def lint(recipe: Mapping[str, Any], size: int, *, nucleus: Nucleus = "both") -> list[Finding]:
    """Everything that is wrong with a recipe of `size` bytes on the nuclei that it is meant for, errors first."""
    found = [*_head(recipe), *_limits(recipe, size, nucleus), *_manifests(recipe, nucleus), *_access(recipe)]
    return sorted(found, key=lambda f: f.severity)


def _load(raw: bytes) -> Any:
    # Bombs of aliases are bounded by the file's size only when there are none.
    for token in yaml.scan(raw, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError(  # noqa: TRY004 - of the file, not of an argument
                f"line {token.start_mark.line + 1}: an alias (*name); the lite nucleus knows none"
            )
    return yaml.safe_load(raw)


def _head(recipe: Mapping[str, Any]) -> Iterator[Finding]:
    if "recipeformatversion" not in _lower(recipe):
        yield Finding("error", "format", "RecipeFormatVersion", 'is missing; write "2020-01-25"')
    elif str(recipe.get("RecipeFormatVersion", "2020-01-25")) != "2020-01-25":
        yield Finding("error", "format", "RecipeFormatVersion", 'is not "2020-01-25", the only one there is')
    for key, shape, words in (
        ("ComponentName", _NAME, "1 to 128 of letters, digits, . _ and -"),
        ("ComponentVersion", _VERSION, "a semantic version such as 1.0.0"),
    ):
        value = recipe.get(key)
        if not isinstance(value, str) or not shape.match(value):
            yield Finding("error", "head", key, f"{value!r} is not {words}")
    kind = recipe.get("ComponentType", "aws.greengrass.generic")
    if kind != "aws.greengrass.generic":
        yield Finding("error", "type", "ComponentType", f"{kind!r}: the lite nucleus runs aws.greengrass.generic only")
    yield from _casing(recipe, KEYS, "")


def _limits(recipe: Mapping[str, Any], size: int, nucleus: Nucleus) -> Iterator[Finding]:
    if size > CLOUD_BYTES:
        yield Finding("error", "size", "the recipe", f"{size} bytes; the cloud takes {CLOUD_BYTES}")
    if nucleus == "classic":
        return
    if size > LITE_BYTES:
        yield Finding("error", "size-lite", "the recipe", f"{size} bytes; the lite nucleus takes {LITE_BYTES}")
    items = count_items(recipe)
    if items > LITE_ITEMS:
        yield Finding(
            "error", "items-lite", "the recipe", f"{items} objects; the lite nucleus takes {LITE_ITEMS} in all"
        )


def _manifests(recipe: Mapping[str, Any], nucleus: Nucleus) -> Iterator[Finding]:
    manifests = recipe.get("Manifests")
    if not isinstance(manifests, list) or not manifests:
        yield Finding("error", "manifests", "Manifests", "there is none, so no device can run this")
        return
    for i, manifest in enumerate(manifests):
        where = f"Manifests[{i}]"
        if not isinstance(manifest, dict):
            yield Finding("error", "manifests", where, "is not a mapping")
            continue
        yield from _platform(manifest, where, nucleus)
        lifecycle = manifest.get("Lifecycle")
        if isinstance(lifecycle, dict) and lifecycle:
            yield from _lifecycle(lifecycle, f"{where}.Lifecycle", nucleus)
        elif nucleus != "classic":
            yield Finding("error", "lifecycle", f"{where}.Lifecycle", "the lite nucleus refuses a manifest without one")
        artifacts = manifest.get("Artifacts")
        for j, artifact in enumerate(artifacts if isinstance(artifacts, list) else []):
            yield from _artifact(artifact, f"{where}.Artifacts[{j}]")
    yield from _order(manifests)


def _platform(manifest: Mapping[str, Any], where: str, nucleus: Nucleus) -> Iterator[Finding]:
    platform = manifest.get("Platform")
    if not isinstance(platform, dict):
        yield Finding("warning", "platform", f"{where}.Platform", "is missing: it matches Windows too")
        platform = {}
    runtime = platform.get("runtime")
    if nucleus != "classic" and str(runtime) not in {"*", "aws_nucleus_lite"}:
        yield Finding(
            "error", "runtime", f"{where}.Platform.runtime",
            f'{runtime!r}: the lite nucleus skips this manifest; write "*" for both kinds',
        )  # fmt: skip
    if nucleus != "lite" and runtime == "aws_nucleus_lite":
        yield Finding("warning", "runtime", f"{where}.Platform.runtime", "the classic nucleus skips this manifest")


def _lifecycle(lifecycle: Mapping[str, Any], where: str, nucleus: Nucleus) -> Iterator[Finding]:
    yield from _casing(lifecycle, LIFECYCLE, where)
    if "run" in lifecycle and "startup" in lifecycle:
        yield Finding(
            "error", "run-and-startup", where, "run and startup exclude each other; the lite nucleus ignores run"
        )
    if nucleus != "classic":
        for phase in ("shutdown", "recover"):
            if phase in lifecycle:
                yield Finding("warning", "phase-lite", f"{where}.{phase}", "the lite nucleus does not run it")
    for phase in PHASES:
        step = lifecycle.get(phase)
        script = step
        if isinstance(step, dict):
            script = step.get("Script")
            yield from _step(step, f"{where}.{phase}", nucleus)
        if isinstance(script, str):
            yield from _script(script, f"{where}.{phase}", phase, nucleus)


def _step(step: Mapping[str, Any], where: str, nucleus: Nucleus) -> Iterator[Finding]:
    for key in step:
        if key not in STEP:
            yield _wrong_case(key, STEP, where, "case-step")
    if str(step.get("RequiresPrivilege")).lower() == "true":
        yield Finding("warning", "privilege", where, "runs as root")
    if "Skipif" in step and nucleus != "classic":
        yield Finding("error", "skipif-lite", where, "the lite nucleus knows no Skipif: it always runs")


def _script(script: str, where: str, phase: str, nucleus: Nucleus) -> Iterator[Finding]:
    for match in _BRACES.finditer(script):
        inside = match.group(1)
        known = VARIABLE.fullmatch(inside)
        if known is None:
            if nucleus != "classic":
                yield Finding(
                    "error", "braces", where,
                    f"{match.group()!r} is no recipe variable: the lite nucleus cuts the script off there; "
                    "write $HOME for ${HOME}, and put what needs braces into a file of the artifact",
                )  # fmt: skip
        elif nucleus != "classic" and (known["component"] or not VARIABLES.fullmatch(inside)):
            yield Finding("error", "variable-lite", where, f"{match.group()} is not put in by the lite nucleus")
    if phase == "install" and re.search(r"\b(curl|wget|apt-get|apt|git clone)\b|pip3? install(?!.*--no-index)", script):
        yield Finding(
            "warning", "network", where,
            "wants the network, and install runs again whenever the nucleus starts: put it into the artifact",
        )  # fmt: skip
    if re.search(r"\bsudo\b", script):
        yield Finding("warning", "privilege", where, "calls sudo, which asks nobody for a password here")


def _artifact(artifact: Any, where: str) -> Iterator[Finding]:
    if not isinstance(artifact, dict) or not isinstance(artifact.get("Uri"), str):
        yield Finding("error", "artifact", where, "has no Uri")
        return
    if str(artifact.get("Unarchive", "NONE")) not in {"NONE", "ZIP"}:
        yield Finding("error", "artifact", f"{where}.Unarchive", "is NONE or ZIP, in capitals")
    if artifact["Uri"].endswith((".tar.gz", ".tgz")):
        yield Finding("warning", "artifact", f"{where}.Uri", "no nucleus unpacks a tar archive; ZIP is what they know")


def _order(manifests: list[Any]) -> Iterator[Finding]:
    """The first manifest that matches wins, so one that matches everything hides those behind it."""
    seen: list[dict[str, Any]] = []
    for i, manifest in enumerate(manifests):
        platform = {k: v for k, v in _mapping(_mapping(manifest).get("Platform")).items() if v != "*"}
        if any(earlier.items() <= platform.items() for earlier in seen):
            yield Finding(
                "warning", "order", f"Manifests[{i}]", "is never reached: an earlier one matches all that it does"
            )
        seen.append(platform)


def _access(recipe: Mapping[str, Any]) -> Iterator[Finding]:
    defaults = _mapping(_mapping(recipe.get("ComponentConfiguration")).get("DefaultConfiguration"))
    base = "ComponentConfiguration.DefaultConfiguration.accessControl"
    for service, policies in _mapping(defaults.get("accessControl")).items():
        for name, policy in _mapping(policies).items():
            where = f"{base}.{service}.{name}"
            if not isinstance(policy, dict):
                yield Finding("error", "access", where, "is not a mapping")
                continue
            for key in ("operations", "resources"):
                values = policy.get(key)
                if not isinstance(values, list) or not values:
                    yield Finding("error", "access", f"{where}.{key}", "is missing")
                elif "*" in values:
                    what = "every operation of the service" if key == "operations" else "every topic of the device"
                    yield Finding("error", "wildcard", f"{where}.{key}", f'"*" grants {what}; name what is needed')
                elif "#" in values:
                    yield Finding("error", "wildcard", f"{where}.{key}", '"#" grants every topic of the account')


def _casing(mapping: Mapping[str, Any], known: frozenset[str], where: str) -> Iterator[Finding]:
    by_lower = {key.lower(): key for key in known}
    for key in mapping:
        right = by_lower.get(str(key).lower())
        if right != key:
            yield _wrong_case(key, known, where, "case")


def _wrong_case(key: object, known: frozenset[str], where: str, code: str) -> Finding:
    place = f"{where}.{key}" if where else str(key)
    right = {word.lower(): word for word in known}.get(str(key).lower())
    if right is None:
        return Finding("warning", "unknown-key", place, f"no nucleus knows it; known: {', '.join(sorted(known))}")
    return Finding("error", code, place, f"the lite nucleus reads only {right!r}, in that case")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lower(mapping: Mapping[str, Any]) -> set[str]:
    return {str(key).lower() for key in mapping}
