"""What each command of `gluon-edge` does. Libraries are imported by the command that needs them."""

# ruff: noqa: T201 - standard output is where a command answers

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.secret import redact

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.component import Component
    from edge.config import MqttConfig
    from edge.crops import Looker
    from edge.session import SessionOptions
    from edge.stages import Stage

__all__ = [
    "audit",
    "bundle_info",
    "bundle_test",
    "bundle_verify",
    "config_check",
    "config_schema",
    "config_show",
    "demo",
    "fail",
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
        from edge.component import Component

        return _run_component(Component())
    config = load_config(args.config)
    from edge import run as life

    component = None
    if config.transport == "greengrass":
        from edge.component import Component

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
    from edge.bundle import read_bundle
    from edge.crops import OnPersons
    from edge.errors import ImageError
    from edge.predict import drawing_names, look
    from edge.stages import Stage

    stage = Stage(read_bundle(args.bundle), _options(args), threshold=args.threshold)
    _tell_what_fell_away(stage)
    looker: Looker = stage
    if args.detector is not None:
        looker = OnPersons(stage, Stage(read_bundle(args.detector), _options(args)))
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
    from edge.broker import mqtt_settings
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


def bundle_info(args: argparse.Namespace) -> int:
    """The manifest."""
    from edge.bundle import read_bundle

    bundle = read_bundle(args.bundle)
    manifest = bundle.manifest
    if args.json:
        print(json.dumps({**manifest.model_dump(mode="json"), "digest": bundle.digest, "labels": bundle.labels}))
        return 0
    spec = manifest.input
    print(f"{manifest.name} {manifest.version}: {manifest.task}, {manifest.precision}, from {manifest.source.net}")
    print(f"input    {spec.width}x{spec.height} {spec.dtype} {spec.colour_order}, {spec.resize}, {spec.interpolation}")
    for output in manifest.outputs:
        print(f"output   {output.name} {output.dtype} {list(output.shape)}: {output.meaning}")
    few = ", ".join(bundle.labels[:10]) + (", ..." if len(bundle.labels) > 10 else "")
    print(f"labels   {len(bundle.labels)}: {few}")
    print(f"score    {manifest.thresholds.score:g} or more")
    print(f"size     {sum(map(len, bundle.files.values())) / 1e6:.2f} MB in {len(bundle.files)} files")
    print(f"digest   {bundle.digest}")
    return 0


def bundle_verify(args: argparse.Namespace) -> int:
    """Signature, target, version and hashes, as far as they are asked for."""
    from edge.errors import BundleError

    try:
        bundle = _believed(args)
    except BundleError as e:
        if args.json:
            print(json.dumps({"ok": False, "reason": getattr(e, "reason", "invalid"), "problem": str(e)}))
        return fail(str(e))
    if args.json:
        found = {"digest": bundle.digest, "files": sorted(bundle.files), "signed_by": bundle.signer}
        print(json.dumps({"ok": True, **found}))
    else:
        signed = f"signed by {bundle.signer}" if bundle.signer else _unjudged(bundle)
        print(f"{args.bundle}: {len(bundle.files)} files match their SHA-256; {signed}; digest {bundle.digest}")
    return 0


def _believed(args: argparse.Namespace) -> "Bundle":
    from edge.bundle import read_bundle
    from edge.signing import Keys
    from edge.trust import Trust

    if args.config is None:
        return read_bundle(args.bundle, Trust(Keys(tuple(args.key))))
    from edge.admission import trust_of, versions_of
    from edge.configfile import load_config

    config = load_config(args.config)
    trust = trust_of(config)
    bundle = read_bundle(args.bundle, replace(trust, keys=Keys(tuple(args.key))) if args.key else trust)
    versions_of(config).refuse_older(args.bundle, bundle.manifest)
    return bundle


def _unjudged(bundle: "Bundle") -> str:
    if bundle.signature is None:
        return "not signed"
    return "signed, but no key was given to judge that by (--key, or -c)"


def bundle_test(args: argparse.Namespace) -> int:
    """The golden sample on this device's own kernels."""
    from edge.bundle import read_bundle
    from edge.golden import check
    from edge.stages import Stage

    bundle = read_bundle(args.bundle)
    stage = Stage(bundle, _options(args))
    report = check(bundle, stage)
    provider = stage.session.provider
    away = [f"{name} fell away: {why}; this ran on {provider}" for name, why in stage.session.fell_away.items()]
    problems = [*away, *report.problems]
    if args.json:
        found = {"compared": report.compared, "worst_score": report.worst_score, "worst_box_px": report.worst_box_px}
        told = {"ok": not problems, "provider": provider, **found, "catches": report.catches, "problems": problems}
        print(json.dumps(told))
    else:
        for problem in problems:
            print(problem)
        verdict = "the same as where it was made" if report.ok else "NOT the same as where it was made"
        print(
            f"{args.bundle}: {verdict}; {report.compared} results on {provider}, "
            f"off by {report.worst_score:.2g} in score and {report.worst_box_px:.2g} px at most"
        )
        if report.catches:
            print(f"a wrong {', a wrong '.join(report.catches)} would have shown")
    if not problems:
        return 0
    if report.ok:
        return fail(f"{args.bundle}: {args.provider} was asked for and is not what ran; nothing was said about it")
    return fail(f"{args.bundle}: the golden sample does not come out on this device; do not use it here")


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
    from edge.demo import DemoOptions
    from edge.demo import demo as show

    return show(DemoOptions(args.bundle, args.source, args.output, args.start, args.seconds))


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
    from edge import serviceverbs

    found: int = getattr(serviceverbs, args.what)(args)
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


def _options(args: argparse.Namespace) -> "SessionOptions":
    from edge.session import SessionOptions

    return SessionOptions(providers=(args.provider,), threads=args.threads)


def fail(message: str) -> int:
    """Tells a person what went wrong, on one line; the status of a command that could not do it."""
    print(f"gluon-edge: error: {' '.join(redact(message).split())}", file=sys.stderr, flush=True)
    return 1
