"""`gluon-edge service install|status|uninstall`: every step is told before it is done, and --dry-run only tells."""

import argparse
import grp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ServiceError
from edge.verbs.verb import add_command, add_group, add_json, add_service_config

if TYPE_CHECKING:
    from edge.systemd.service import Step
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of all three."""
    group = add_group(commands, "service", "The agent as a service of systemd.", "install --dry-run")
    for name, verb, text in (
        ("install", install, "Make it start with the machine, watched and in a sandbox."),
        ("status", status, "How it is; status 0 when it runs."),
        ("uninstall", uninstall, "Take it away; the configuration stays, and so does the state without --purge."),
    ):
        sub = add_command(
            group, name, verb, text, "-c /etc/gluon-edge/agent.toml" + (" --dry-run" * (name != "status"))
        )
        add_service_config(sub, "/etc/gluon-edge/agent.toml (default), or /etc/gluon-edge/NAME.toml for one of several")
        add_json(sub)
        if name != "status":
            sub.add_argument("--dry-run", action="store_true", help="only tell what would be done")
        if name == "install":
            boards = ("auto", "none", "raspberry-pi", "jetson")
            sub.add_argument("--board", choices=boards, default="auto", help="whose devices to allow (default: auto)")
            sub.add_argument("--force", action="store_true", help="replace a unit that somebody else has written")
        if name == "uninstall":
            sub.add_argument("--purge", action="store_true", help="remove the state too: undelivered events are lost")


def install(args: argparse.Namespace) -> int:
    """Makes the agent a service that starts with the machine."""
    from edge.config.file import check_config
    from edge.systemd.service import Layout, plan_install

    layout = Layout(args.config.absolute())
    _need_systemd()
    problems = check_config(layout.config)
    if problems:
        raise ServiceError(f"{problems[0]} (gluon-edge config check -c {layout.config})")
    mode = layout.config.stat().st_mode
    if not mode & 0o004:
        raise ServiceError(
            f"{layout.config}: the service's user cannot read it; put passwords into credentials and: "
            f"sudo chmod 644 {layout.config}"
        )
    which = _board() if args.board == "auto" else args.board
    known = {g.gr_name for g in grp.getgrall()}
    steps = plan_install(
        layout,
        _program(),
        board=None if which == "none" else which,
        groups=[g for g in ("video", "render") if g in known],
        force=args.force,
    )
    return _do(steps, args, again=f"service install -c {layout.config}")


def uninstall(args: argparse.Namespace) -> int:
    """Stops the service and takes it away; configuration and, unless --purge, state stay."""
    from edge.systemd.service import Layout, plan_uninstall

    layout = Layout(args.config.absolute())
    _need_systemd()
    others = []
    if layout.instance is not None:
        listed = _systemctl(("list-units", "--all", "--plain", "--no-legend", "gluon-edge@*.service")).stdout
        others = [u for u in (line.split()[0] for line in listed.splitlines() if line.split()) if u != layout.unit]
    steps = plan_uninstall(layout, purge=args.purge, others=others)
    if not steps:
        print(f"{layout.unit} is not installed", file=sys.stderr)
    status = _do(steps, args, again=f"service uninstall -c {layout.config}")
    if layout.state.is_dir() and not args.purge and not args.dry_run:
        print(f"kept {layout.state} (spool, counter, models); --purge removes it", file=sys.stderr)
    return status


def status(args: argparse.Namespace) -> int:
    """How the service is; status 0 when it runs."""
    from edge.systemd.service import Layout, show

    layout = Layout(args.config.absolute())
    _need_systemd()
    found = show(layout, _systemctl)
    if args.json:
        print(json.dumps(found))
    else:
        print(f"{found['Unit']}: {found.get('ActiveState', '?')} ({found.get('SubState', '?')})")
        if found.get("LoadState") == "not-found":
            print("not installed; gluon-edge service install")
        elif found.get("StatusText"):
            print(found["StatusText"])
        if found.get("NRestarts", "0") != "0":
            print(f"restarted {found['NRestarts']} times; journalctl -u {found['Unit']} -p warning")
    return 0 if found.get("ActiveState") == "active" else 1


def _do(steps: "Sequence[Step]", args: argparse.Namespace, *, again: str) -> int:
    from edge.systemd.service import apply

    if args.dry_run:
        if args.json:
            print(json.dumps([str(s) for s in steps]))
        else:
            for step in steps:
                print(f"would {step}")
        return 0
    if os.geteuid() != 0:
        raise ServiceError(f"this needs root: sudo {_program()} {again} (--dry-run shows what it would do)")
    apply(steps, _systemctl, lambda text: print(text, file=sys.stderr))
    if args.json:
        print(json.dumps([str(s) for s in steps]))
    return 0


def _systemctl(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    command = ["systemctl", "--no-pager", "--no-ask-password", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our words


def _need_systemd() -> None:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise ServiceError(
            "systemd does not run here; start the agent with your own init: gluon-edge run -c agent.toml"
        )


def _program() -> Path:
    """The command that runs now, where its environment has put it."""
    beside = Path(sys.executable).with_name("gluon-edge")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


def _board() -> str:
    from edge.reporting.payloads import board

    name = (board() or "").lower()
    if "raspberry pi" in name:
        return "raspberry-pi"
    return "jetson" if "jetson" in name or "tegra" in name else "none"
