"""A TOML file and the environment -> Config; every error names the key's path and what would be right."""

import difflib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config import Config
from edge.errors import ConfigError
from edge.secret import check_private, has_password, redact

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]  # its name before Python 3.11

__all__ = ["ENV_PREFIX", "changes", "check_config", "config_of", "load_config", "show_config"]

ENV_PREFIX = "GLUON_EDGE_"
_MAX_BYTES = 1 << 20

Path_ = tuple[str | int, ...]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in `path`, with `GLUON_EDGE_SECTION__KEY` of the environment over it.

    Raises:
        ConfigError: one line that names the file, the key and what is wrong; how many more there are.
    """
    config, problems = _read(path, os.environ if environ is None else environ)
    if config is None:
        more = f" (and {len(problems) - 1} more: gluon-edge config check)" if len(problems) > 1 else ""
        raise ConfigError(problems[0] + more)
    return config


def config_of(data: dict[str, Any], where: str, *, folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """A configuration that did not come from a file; `where` is what errors call it, `folder` where paths start.

    Raises:
        ConfigError: as `load_config`.
    """
    config, problems, _ = _validate(data, where, folder, os.environ if environ is None else environ)
    if config is None:
        raise ConfigError(problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    return config


def check_config(path: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """Everything that is wrong with the configuration, a line each; empty when it is right.

    Raises:
        ConfigError: when the file cannot be read or is not TOML.
    """
    return _read(path, os.environ if environ is None else environ)[1]


def show_config(config: Config) -> str:
    """The whole configuration, defaults included, as TOML; credentials in URLs are hidden."""
    lines: list[str] = []
    _flatten(config.model_dump(mode="json"), (), lines)
    return "\n".join(lines)


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[str]]:
    config, problems, origins = _validate(_read_toml(path), str(path), path.absolute().parent, environ)
    if config is None:
        return None, problems
    problem = _leaked_password(path, config, origins)
    return (None, [problem]) if problem else (config, [])


def _validate(
    data: dict[str, Any], where: str, folder: Path, environ: Mapping[str, str]
) -> tuple[Config | None, list[str], dict[Path_, str]]:
    origins = _override(data, environ)
    try:
        return Config.model_validate(data, context={"folder": folder}), [], origins
    except ValidationError as e:
        # What is misspelt comes first: a key that is missing is often one that is misspelt.
        errors = sorted(e.errors(include_url=False), key=lambda d: d["type"] != "extra_forbidden")
        return None, [_explain(where, d, data, origins) for d in errors], origins


def changes(old: Any, new: Any, path: str = "") -> list[str]:
    """The keys whose values differ between two configurations, in words such as `events.hold_s`."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [path] if old != new else []
    found = []
    for key in [*old, *(k for k in new if k not in old)]:
        found += changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as f:
            raw = f.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_BYTES} bytes; is it a configuration?")
        data: dict[str, Any] = tomllib.loads(raw.decode())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; docs/configuration.md shows one to start from") from None
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: is not UTF-8 text") from e
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise ConfigError(f"{path}: is not TOML: {e}") from e
    return data


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> dict[Path_, str]:
    """Puts the environment's keys into `data`; returns which variable each came from."""
    origins: dict[Path_, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX):
            continue
        keys = tuple(variable[len(ENV_PREFIX) :].lower().split("__"))
        at: Any = data
        for key in keys[:-1]:
            at = at.setdefault(key, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict) or not all(keys):
            raise ConfigError(f"{variable}: names no key; write {ENV_PREFIX}SECTION__KEY")
        at[keys[-1]] = _value(environ[variable])
        origins[keys] = variable
    return origins


def _value(text: str) -> Any:
    """A variable's text as the TOML value that it spells, else as the text itself."""
    try:
        parsed = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed.get("v")
    return value if len(parsed) == 1 and isinstance(value, (bool, int, float, str, list)) else text


def _explain(source: str, error: ErrorDetails, data: dict[str, Any], origins: Mapping[Path_, str]) -> str:
    missing = error["type"] == "missing"
    keys = error["loc"] if missing else _existing(error["loc"], data)
    where = origins.get(keys) or f"{source}: {'.'.join(str(k) for k in keys) or 'it'}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(keys[-1]), _known_keys(keys[:-1]), 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(_known_keys(keys[:-1]))}"
        return redact(f"{where}: unknown key; {hint}")
    if missing:
        return f"{where}: is missing"
    if error["type"] == "string_pattern_mismatch" and keys and "cameras" in keys[-2:]:
        return f"{where}: names are 1 to 64 of a-z, 0-9, _ and -"
    message = error["msg"].removeprefix("Value error, ")
    return redact(f"{where}: {message[:1].lower()}{message[1:]}")


def _existing(loc: Path_, data: Any) -> Path_:
    """The part of pydantic's location that is really in the file, without the names of union members."""
    keys: list[str | int] = []
    for key in loc:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            break
        keys.append(key)
    return tuple(keys)


def _known_keys(keys: Path_) -> list[str]:
    model: Any = Config
    for key in keys:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(key)].annotation
        else:
            model = get_args(model)[1]
        while not isinstance(model, type) and not hasattr(model, "__origin__"):
            model = get_args(model)[0]
    return sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _leaked_password(path: Path, config: Config, origins: Mapping[Path_, str]) -> str | None:
    """A password in a camera's URL makes the file a secret, and secrets are not for everyone to read."""
    for name, camera in config.cameras.items():
        if (
            isinstance(camera.source, str)
            and has_password(camera.source)
            and ("cameras", name, "source") not in origins
        ):
            try:
                check_private(path)
            except ConfigError:
                return (
                    f"{path}: cameras.{name}.source: holds a password and everyone may read the file; "
                    f"chmod 600 {path}, or use username and password_file"
                )
    return None


def _flatten(value: Any, keys: tuple[str, ...], lines: list[str]) -> None:
    name = ".".join(keys)
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _flatten(below, (*keys, key), lines)
    elif value is None:
        lines.append(f"# {name} is not set")
    elif value != {}:
        lines.append(f"{name} = {redact(json.dumps(value, ensure_ascii=False))}")
