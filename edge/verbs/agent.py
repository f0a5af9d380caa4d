"""What each command of `gluon-edge` does. Libraries are imported by the command that needs them."""

# ruff: noqa: T201 - standard output is where a command answers

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.secret import redact

if TYPE_CHECKING:
    from edge.aws.component import Component
    from edge.config import MqttConfig
    from edge.crops import Looker
    from edge.session import SessionOptions
    from edge.stages import Stage

__all__ = [
    "audit",
    "config_check",
    "config_schema",
    "config_show",
    "demo",
    "fail",
    "options",
    "predict",
    "run",
    "said",
    "service",
    "update",
    "watch",
]


def run(args: argparse.Namespace) -> int:
    """The agent."""
    from edge.configfile import load_config

    if args.config is None:
        from edge.aws.component import Component

        return _run_component(Component())
    config = load_config(args.config)
    from edge import run as life

    component = None
    if config.transport == "greengrass":
        from edge.aws.component import Component

        component = Component(configured=False)
    return life.run(config, lambda: load_config(args.config), component)


def _run_component(component: "Component") -> int:
    """The agent, configured by the nucleus."""
    from edge import run as life
    from edge.errors import ConfigError

    try:
        config = component.config()
    except ConfigError:
        component.nucleus.tell_state("ERRORED")
        component.close()
        raise
    return life.run(config, component.config, component)


def predict(args: argparse.Namespace) -> int:
    """One-off inference; every image that can be read is, and the status tells whether all could."""
    from edge.bundle.bundle import read_bundle
    from edge.crops import OnPersons
    from edge.errors import ImageError
    from edge.predict import drawing_names, look
    from edge.stages import Stage

    stage = Stage(read_bundle(args.bundle), options(args), threshold=args.threshold)
    _tell_what_fell_away(stage)
    looker: Looker = stage
    if args.detector is not None:
        looker = OnPersons(stage, Stage(read_bundle(args.detector), options(args)))
    drawings: Sequence[Path | None] = [None] * len(args.images)
    if args.draw is not None:
        drawings = drawing_names(args.draw, args.images)
    status = 0
    for path, drawing in zip(args.images, drawings, strict=True):
        try:
            found = look(looker, path, draw_to=drawing)
        except ImageError as e:
            status = fail(str(e))
            continue
        if args.json:
            print(json.dumps(found, ensure_ascii=False, allow_nan=False), flush=True)
        else:
            _print_prediction(found, drawing)
    return status


def _print_prediction(found: dict[str, Any], drawing: Path | None) -> None:
    print(f"{found['image']}: {found['width']}x{found['height']}, {len(found['results'])} found")
    for result in found["results"]:
        box = "  box " + " ".join(f"{v:.1f}" for v in result["box"]) if "box" in result else ""
        print(f"  {result['label']:20}  {result['score']:.2f}{box}")
    if drawing is not None:
        print(f"  drawn to {drawing}", flush=True)


def watch(args: argparse.Namespace) -> int:
    """A subscriber for people."""
    from edge.delivery.broker import mqtt_settings
    from edge.watch import listen

    mqtt = _broker(args)
    settings = mqtt_settings(mqtt, client_id=f"gluon-edge-watch-{os.getpid()}")
    topic = args.topic or f"{mqtt.root}/#"
    sums = listen(settings, topic=topic, out=sys.stdout, as_json=args.json, count=args.count, seconds=args.seconds)
    if args.json:
        print(json.dumps({"summary": sums}), flush=True)
    else:
        print(f"{sums['events']} events, {sums['missing']} missing, {sums['duplicates']} duplicates", file=sys.stderr)
    return 0


def audit(args: argparse.Namespace) -> int:
    """What a subscriber has against the node's own account."""
    from edge.audit import read_log, waiting_on_disk

    waiting = waiting_on_disk(args.spool) if args.spool is not None else []
    accounts = read_log(args.log)
    if args.node is not None:
        accounts = {name: account for name, account in accounts.items() if name == args.node}
    found = {name: account.settle(waiting) for name, account in sorted(accounts.items())}
    if args.json:
        print(json.dumps(found))
    else:
        for name, sums in found.items():
            print(
                f"{name}: {sums['events']} events of {sums['runs']} runs, {sums['duplicates']} twice, "
                f"{sums['receipted']} given up with a receipt, {sums['waiting']} wait on its disk, {sums['missing']} missing"
            )
    if not found:
        return fail(f"{args.log}: holds nothing of {args.node or 'any node'}")
    lost = [f"{name}: {first} to {last}" for name, sums in found.items() for first, last in sums["missing_ranges"]]
    return fail(f"missing without a receipt: {'; '.join(lost[:10])}") if lost else 0


def said(args: argparse.Namespace) -> int:
    """The audit of commands."""
    from edge.audit import commands_on_disk

    found = commands_on_disk(args.spool)
    if args.json:
        print(json.dumps({"commands": found}))
    else:
        for c in found:
            print(f"{c['at']} {c['state']:8} {c['topic']} {c['id']}: {c['answer'] or ''}".rstrip())
    return 0


def config_check(args: argparse.Namespace) -> int:
    """Everything that is wrong, a line each."""
    from edge.configfile import check_config

    problems = check_config(args.config)
    if args.json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            fail(problem)
        if not problems:
            print(f"{args.config}: good")
    return 1 if problems else 0


def config_show(args: argparse.Namespace) -> int:
    """The configuration with every default."""
    from edge.configfile import load_config, show_config
    from edge.secret import redact

    config = load_config(args.config)
    print(redact(config.model_dump_json()) if args.json else show_config(config))
    return 0


def config_schema(_args: argparse.Namespace) -> int:
    """The configuration's JSON Schema."""
    from edge.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
    return 0


def demo(args: argparse.Namespace) -> int:
    """Everything at once, on this machine."""
    from edge.demo import SHIPPED, DemoOptions
    from edge.demo import demo as show
    from edge.errors import ConfigError

    bundle, source, seconds = args.bundle, args.source, args.seconds
    if bundle is None:
        if source not in {None, "pattern"}:
            raise ConfigError(
                "the bundle that comes along knows the pattern camera only; name one: gluon-edge demo BUNDLE"
            )
        bundle, source, seconds = SHIPPED, "pattern", seconds or 15.0
    return show(DemoOptions(bundle, source or "0", args.output, args.start, seconds))


def update(args: argparse.Namespace) -> int:
    """A new model for the node."""
    from edge.configfile import load_config
    from edge.updates.handover import bring

    config = load_config(args.config)
    state = args.state_dir or config.state_dir or _state_of_the_service()
    ended = bring(
        config.model_copy(update={"state_dir": state}),
        args.what,
        args.sha256,
        lambda u: print(f"{u.phase}{f': {u.reason}' if u.reason else ''}", file=sys.stderr, flush=True),
    )
    good = ended.phase in {"committed", "watching"}
    if args.json:
        print(json.dumps({"ok": good, **ended.model_dump(mode="json", exclude={"request": {"url"}})}))
    elif good:
        later = "" if ended.phase == "committed" else "; no agent runs: the next one that starts watches it"
        print(f"{ended.name} {ended.version} is installed{later}")
    return 0 if good else fail(f"{ended.phase}: {ended.reason}")


def _state_of_the_service() -> Path | None:
    """The state of gluon-edge.service when that is installed here and we are not it."""
    folder = Path("/var/lib/gluon-edge")
    return folder if "STATE_DIRECTORY" not in os.environ and folder.is_dir() else None


def service(args: argparse.Namespace) -> int:
    """The agent as a service."""
    from edge.verbs import service as verbs

    found: int = getattr(verbs, args.what)(args)
    return found


def _broker(args: argparse.Namespace) -> "MqttConfig":
    """`[mqtt]` of the configuration if one is given, with the command line's arguments over it."""
    from pydantic import ValidationError

    from edge.config import MqttConfig
    from edge.configfile import load_config
    from edge.errors import ConfigError

    given = {"broker": args.broker, "username": args.username, "password_file": args.password_file}
    base = load_config(args.config).mqtt if args.config is not None else MqttConfig(node="watch")
    try:
        return MqttConfig.model_validate({**base.model_dump(), **{k: v for k, v in given.items() if v is not None}})
    except ValidationError as e:
        first = e.errors()[0]
        where = "".join(f"--{str(p).replace('_', '-')}: " for p in first["loc"])
        raise ConfigError(where + first["msg"].removeprefix("Value error, ")) from e


def _tell_what_fell_away(stage: "Stage") -> None:
    for provider, why in stage.session.fell_away.items():
        print(f"gluon-edge: {provider} fell away: {why}; running on {stage.session.provider}", file=sys.stderr)


def options(args: argparse.Namespace) -> "SessionOptions":
    """How to run a model, as the command line says."""
    from edge.session import SessionOptions

    return SessionOptions(providers=(args.provider,), threads=args.threads)


def fail(message: str) -> int:
    """Tells a person what went wrong, on one line; the status of a command that could not do it."""
    print(f"gluon-edge: error: {' '.join(redact(message).split())}", file=sys.stderr, flush=True)
    return 1
