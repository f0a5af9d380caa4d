"""The agent as a service of systemd: what an installation would do, step by step, before any of it is done."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.errors import ServiceError

__all__ = ["Layout", "Remove", "Run", "Step", "Write", "apply", "plan_install", "plan_uninstall", "show"]

_MARK = "# Written by `gluon-edge service install`, which will replace it: make changes with `systemctl edit`.\n"
_SHIPPED_EXEC = "/opt/gluon-edge/bin/gluon-edge"
_GROUPS = ("video", "render")
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - what the unit hides from the service
_SHOWN = ("LoadState", "ActiveState", "SubState", "StatusText", "NRestarts", "MainPID", "UnitFileState", "Result")

Systemctl = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True, slots=True)
class Write:
    """A file with this content."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"write {self.path} ({len(self.text)} bytes)"


@dataclass(frozen=True, slots=True)
class Remove:
    """A file, or with `tree` a folder and all that is in it, to be removed."""

    path: Path
    tree: bool = False

    def __str__(self) -> str:
        return f"remove {self.path}{' and everything in it' if self.tree else ''}"


@dataclass(frozen=True, slots=True)
class Run:
    """`systemctl` with these arguments."""

    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"run systemctl {' '.join(self.arguments)}"


Step = Write | Remove | Run


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie, and the one agent that is meant: the configuration's name says which.

    /etc/gluon-edge/agent.toml is gluon-edge.service; /etc/gluon-edge/NAME.toml is gluon-edge@NAME.service.

    Raises:
        ServiceError: when the configuration does not lie there.
    """

    config: Path
    root: Path = Path("/")

    def __post_init__(self) -> None:
        if self.config.parent != self.root / "etc" / "gluon-edge" or self.config.suffix != ".toml":
            at = self.root / "etc" / "gluon-edge" / "agent.toml"
            raise ServiceError(
                f"{self.config}: the service reads its configuration from {at.parent}; "
                f"put it there: sudo install -D -m 0644 {self.config} {at}"
            )

    @property
    def instance(self) -> str | None:
        """NAME of gluon-edge@NAME, None for the only one."""
        return None if self.config.stem == "agent" else self.config.stem

    @property
    def unit(self) -> str:
        """The unit's name."""
        return "gluon-edge.service" if self.instance is None else f"gluon-edge@{self.instance}.service"

    @property
    def file(self) -> Path:
        """The unit's file; several instances share one."""
        return self._units / ("gluon-edge.service" if self.instance is None else "gluon-edge@.service")

    @property
    def drop_in(self) -> Path:
        """The folder of what is added to the unit."""
        return self._units / f"{self.file.name}.d"

    @property
    def state(self) -> Path:
        """What the agent keeps: its spool, its counter, its models. DynamicUser= puts it under private."""
        name = "gluon-edge" if self.instance is None else f"gluon-edge-{self.instance}"
        return self.root / "var" / "lib" / "private" / name

    @property
    def _units(self) -> Path:
        return self.root / "etc" / "systemd" / "system"


def plan_install(
    layout: Layout, program: Path, *, board: str | None, groups: Sequence[str] = _GROUPS, force: bool = False
) -> list[Step]:
    """What has to be done so that the service runs as it is shipped, with `program`; nothing where nothing is missing.

    `board` is raspberry-pi, jetson, or None; `groups` are those of `video` and `render` that this system has, for
    systemd starts nothing with a group that does not exist.

    Raises:
        ServiceError: when a file is in the way that somebody else has written, or the service could not see `program`.
    """
    config = Path("/") / layout.config.relative_to(layout.root)
    for path in (program, config):
        if str(path).startswith(_HIDDEN):
            raise ServiceError(
                f"{path}: the service cannot see it: /home, /root and /tmp are hidden from it; "
                "install into /opt: python3 -m venv /opt/gluon-edge && /opt/gluon-edge/bin/pip install 'gluon-edge[cpu]'"
            )
    unit = _shipped(layout.file.name).replace(_SHIPPED_EXEC, str(program))
    wanted = {layout.file: unit.replace(" ".join(_GROUPS), " ".join(groups))}
    ours = {b: layout.drop_in / f"{b}.conf" for b in ("raspberry-pi", "jetson")}
    if board is not None:
        wanted[ours[board]] = _shipped(f"{board}.conf")
    steps: list[Step] = []
    for path, text in wanted.items():
        there = _read(path)
        if there is not None and not there.startswith(_MARK) and not force:
            raise ServiceError(f"{path}: somebody else has written it; --force replaces it")
        if there != _MARK + text:
            steps.append(Write(path, _MARK + text))
    steps += [Remove(p) for p in ours.values() if p not in wanted and (_read(p) or "").startswith(_MARK)]
    if steps:
        steps.append(Run(("daemon-reload",)))
    steps.append(Run(("enable", layout.unit)))
    # A unit that changed is started anew; one that runs already is left alone.
    steps.append(Run(("restart" if len(steps) > 1 else "start", layout.unit)))
    return steps


def plan_uninstall(layout: Layout, *, purge: bool = False, others: Sequence[str] = ()) -> list[Step]:
    """What has to be done so that the service is gone. `others` are the instances that still need the shared unit.

    The configuration is never touched, and the state only with `purge`.
    """
    steps: list[Step] = []
    if _read(layout.file) is not None:
        steps.append(Run(("disable", "--now", layout.unit)))
    if not others:
        candidates = [layout.file, *(layout.drop_in / f"{b}.conf" for b in ("raspberry-pi", "jetson"))]
        steps += [Remove(p) for p in candidates if (_read(p) or "").startswith(_MARK)]
    if any(isinstance(s, Remove) for s in steps):
        steps.append(Run(("daemon-reload",)))
    if purge and layout.state.is_dir():
        steps.append(Remove(layout.state, tree=True))
    return steps


def apply(steps: Sequence[Step], systemctl: Systemctl, tell: Callable[[str], None]) -> None:
    """Does the steps in order, and says each before it is done.

    Raises:
        ServiceError: at the first that fails; what was done before it stays done, and doing all again is safe.
    """
    for step in steps:
        tell(str(step))
        try:
            if isinstance(step, Write):
                step.path.parent.mkdir(parents=True, exist_ok=True)
                fresh = step.path.with_name(f".{step.path.name}.new")
                fresh.write_text(step.text)
                fresh.chmod(0o644)
                fresh.replace(step.path)
            elif isinstance(step, Remove) and step.tree:
                shutil.rmtree(step.path)
            elif isinstance(step, Remove):
                step.path.unlink()
            else:
                done = systemctl(step.arguments)
                if done.returncode:
                    said = " ".join(done.stderr.split()) or f"status {done.returncode}"
                    raise ServiceError(f"systemctl {' '.join(step.arguments)}: {said}")
        except OSError as e:
            raise ServiceError(f"{step}: {e.strerror or e}") from e


def show(layout: Layout, systemctl: Systemctl) -> dict[str, str]:
    """What systemd knows about the service, by the names of its properties; `Unit` is which.

    Raises:
        ServiceError: when systemd cannot be asked.
    """
    done = systemctl(("show", layout.unit, *(f"--property={name}" for name in _SHOWN)))
    if done.returncode:
        raise ServiceError(f"systemctl show {layout.unit}: {' '.join(done.stderr.split())}")
    pairs = (line.partition("=") for line in done.stdout.splitlines() if "=" in line)
    return {"Unit": layout.unit, **{name: value for name, _, value in pairs}}


def _shipped(name: str) -> str:
    return (files("edge.systemd") / "units" / name).read_text()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise ServiceError(f"{path}: cannot be read: {e}") from e
