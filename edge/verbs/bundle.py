"""`gluon-edge bundle info`, `verify`, `test` and `schema`."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import BundleError
from edge.verbs.verb import add_command, add_group, add_json, add_session, fail, options

if TYPE_CHECKING:
    from edge.bundle.bundle import Bundle, Manifest
    from edge.config import Config
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of all four."""
    group = add_group(commands, "bundle", "Look into bundles, and test them on this device.", "test ssd.zip")
    for name, verb, text in (
        ("info", info, "What a bundle holds."),
        ("verify", verify, "Check the signature, and every file against its SHA-256."),
        ("test", test, "Run the golden sample on this device's own kernels."),
    ):
        sub = add_command(group, name, verb, text, "ssd.zip")
        sub.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
        add_json(sub)
        if name == "test":
            add_session(sub)
        if name == "verify":
            what = "a public key that may sign; repeatable"
            sub.add_argument("--key", type=Path, action="append", default=[], metavar="FILE", help=what)
            what = "ask what this node asks: its keys, its name and processor, the versions that it has had"
            sub.add_argument("-c", "--config", type=Path, metavar="FILE", help=what)
    add_json(add_command(group, "schema", schema, "The manifest's JSON Schema.", "> bundle.schema.json"))


def info(args: argparse.Namespace) -> int:
    """The manifest."""
    from edge.bundle.bundle import read_bundle

    bundle = read_bundle(args.bundle)
    manifest = bundle.manifest
    if args.json:
        signers = [line.split()[0] for line in (bundle.signature or b"").decode(errors="replace").splitlines()]
        more = {"digest": bundle.digest, "labels": bundle.labels, "signed_by": signers}
        print(json.dumps({**manifest.model_dump(mode="json"), **more}))
        return 0
    size = sum(map(len, bundle.files.values()))
    print(f"{manifest.name} {manifest.version}: {manifest.task}, {manifest.precision}, {size / 1e6:.2f} MB")
    for what, text in _described(bundle):
        print(f"  {what:<12} {text}")
    return 0


def _described(bundle: "Bundle") -> Iterator[tuple[str, str]]:
    manifest, spec = bundle.manifest, bundle.manifest.input
    yield "looks at", f"{spec.width}x{spec.height} {spec.colour_order.upper()}, {_RESIZE[spec.resize]}"
    few = ", ".join(bundle.labels[:10]) + (", ..." if len(bundle.labels) > 10 else "")
    yield "tells apart", f"{len(bundle.labels)}: {few}"
    nms = manifest.thresholds.nms_iou
    yield (
        "from",
        f"a score of {manifest.thresholds.score:g}" + ("" if nms is None else f", boxes that overlap by {nms:g}"),
    )
    yield "gives", "; ".join(f"{o.name} {o.dtype} {_shape(o.shape)}" for o in manifest.outputs)
    yield (
        "made of",
        f"{manifest.source.net} (MXNet), opset {manifest.opset}{_normalized(manifest.source.normalization)}",
    )
    if "report.json" in bundle.files:
        yield "quantized", _gate(bundle.json("report.json"))
    target = manifest.target
    yield "meant for", f"{' or '.join(target.machines) or 'any machine'}, {', '.join(target.nodes) or 'any node'}"
    yield "signed by", _signers(bundle)
    yield "golden", _golden(bundle)
    made = [
        f"{name} {manifest.tools[name]}" for name in ("gluon-edge", "onnx", "onnxruntime") if name in manifest.tools
    ]
    yield "made with", ", ".join(made) or "it does not say"
    yield "digest", bundle.digest


_RESIZE = {
    "stretch": "the whole picture, stretched",
    "letterbox": "the whole picture, with grey bars",
    "crop": "the middle of the picture",
}


def _shape(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _normalized(said: Mapping[Any, Any]) -> str:
    numbers = {k: " ".join(f"{x:g}" for x in v) if isinstance(v, tuple) else f"{v:g}" for k, v in said.items()}
    return "".join(f", {k} {v}" for k, v in numbers.items())


def _gate(report: Any) -> str:
    """What the gate of `gluon-export quantize` found, as far as the report is in its shape."""
    try:
        accuracy, latency = report["gate"]["accuracy"], report["gate"]["latency_ms"]
        return (
            f"{accuracy['measure']} {accuracy['float']:.4f} in float, {accuracy['quantized']:.4f} now, on {accuracy['images']} "
            f"images; {latency['ratio']:.2f} times as fast where it was made"
        )
    except (KeyError, TypeError, ValueError):
        return "its report.json says how"


def _signers(bundle: "Bundle") -> str:
    if bundle.signature is None:
        return "nobody"
    claimed = ", ".join(line.split()[0] for line in bundle.signature.decode(errors="replace").splitlines() if line)
    return f"{claimed}, it says; 'bundle verify --key' proves it"


def _golden(bundle: "Bundle") -> str:
    from edge.inference.golden import EXPECTED, read_expected

    if EXPECTED not in bundle.files:
        return "none: 'bundle test' cannot tell whether this device computes the same"
    want = read_expected(bundle)
    caught = f"; a wrong {', '.join(want.catches)} would show" if want.catches else ""
    return f"a picture with {len(want.results)} results{caught}"


def schema(_args: argparse.Namespace) -> int:
    """The manifest's JSON Schema."""
    from edge.bundle.manifest import schema as described

    print(json.dumps(described(), indent=2))
    return 0


def verify(args: argparse.Namespace) -> int:
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
    from edge.bundle.bundle import read_bundle
    from edge.bundle.trust import Trust
    from edge.signing import Keys

    if args.config is None:
        return read_bundle(args.bundle, Trust(Keys(tuple(args.key))))
    from edge.bundle.admission import trust_of, versions_of
    from edge.config.file import load_config

    config = load_config(args.config)
    trust = trust_of(config)
    bundle = read_bundle(args.bundle, replace(trust, keys=Keys(tuple(args.key))) if args.key else trust)
    versions_of(config).refuse_older(args.bundle, bundle.manifest, _running(config))
    return bundle


def _running(config: "Config") -> "Manifest | None":
    """The configured bundle's manifest, where that is what runs: what was installed is among the versions taken."""
    from edge.bundle.bundle import read_bundle
    from edge.updates.configured import models_of

    if models_of(config).peek().active is not None:
        return None
    try:
        return read_bundle(config.model.bundle).manifest
    except BundleError:  # a configuration may be asked where its bundle is not
        return None


def _unjudged(bundle: "Bundle") -> str:
    if bundle.signature is None:
        return "not signed"
    return "signed, but no key was given to judge that by (--key, or -c)"


def _onnxruntime() -> str | None:
    """The version of whichever wheel of it is installed."""
    try:
        import onnxruntime
    except ImportError:  # another runtime serves
        return None
    return str(onnxruntime.__version__)


def test(args: argparse.Namespace) -> int:
    """The golden sample on this device's own kernels."""
    from edge.bundle.bundle import read_bundle
    from edge.inference.golden import check
    from edge.inference.stages import Stage

    bundle = read_bundle(args.bundle)
    stage = Stage(bundle, options(args))
    report = check(bundle, stage)
    provider = stage.session.provider
    away = [f"{name} fell away: {why}; this ran on {provider}" for name, why in stage.session.fell_away.items()]
    problems = [*away, *report.problems]
    wheels = {"made_with": bundle.manifest.tools.get("onnxruntime"), "here": _onnxruntime()}
    if args.json:
        found = {"compared": report.compared, "worst_score": report.worst_score, "worst_box_px": report.worst_box_px}
        told = {
            "ok": not problems,
            "provider": provider,
            "onnxruntime": wheels,
            **found,
            "catches": report.catches,
            "problems": problems,
        }
        print(json.dumps(told))
    else:
        for problem in problems:
            print(problem)
        verdict = "the same as where it was made" if report.ok else "NOT the same as where it was made"
        print(
            f"{args.bundle}: {verdict}; {report.compared} results on {provider}, "
            f"off by {report.worst_score:.2g} in score and {report.worst_box_px:.2g} px at most"
        )
        if None not in wheels.values() and wheels["made_with"] != wheels["here"]:
            print(f"made with onnxruntime {wheels['made_with']}; this one is {wheels['here']}")
        if report.catches:
            print(f"a wrong {', a wrong '.join(report.catches)} would have shown")
    if not problems:
        return 0
    if report.ok:
        return fail(f"{args.bundle}: {args.provider} was asked for and is not what ran; nothing was said about it")
    return fail(f"{args.bundle}: the golden sample does not come out on this device; do not use it here")
