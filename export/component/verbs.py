"""`gluon-export component lint|build`: arguments in, one document and one text out."""

import argparse
from pathlib import Path
from typing import Any

from export.component.build import Order, build
from export.component.lint import lint, read_recipe
from export.component.vocabulary import count_items
from export.errors import ExportError

__all__ = ["run"]


def run(args: argparse.Namespace) -> tuple[Any, str, bool]:
    """The document, the text, and whether all is well."""
    return _lint(args) if args.action == "lint" else _build(args)


def _lint(args: argparse.Namespace) -> tuple[Any, str, bool]:
    document, lines, good = [], [], True
    for path in args.recipes:
        recipe, size = read_recipe(path)
        found = lint(recipe, size, nucleus=args.nucleus)
        bad = [f for f in found if args.strict or f.severity == "error"]
        good = good and not bad
        items = count_items(recipe)
        listed = [{"severity": f.severity, "code": f.code, "where": f.where, "what": f.what} for f in found]
        document.append({"recipe": str(path), "bytes": size, "objects": items, "ok": not bad, "findings": listed})
        lines += [f"{path}: {f.severity}: {f.where}: {f.what} [{f.code}]" for f in found]
        lines.append(f"{path}: {size} bytes, {items} objects, {len(found) or 'nothing'} found")
    return document, "\n".join(lines), good


def _build(args: argparse.Namespace) -> tuple[Any, str, bool]:
    given = {
        "architectures": args.architectures,
        "pythons": args.pythons,
        "configuration": None if args.configuration is None else _configuration(args.configuration),
    }
    order = Order(
        bundle=args.bundle,
        out=args.output,
        name=args.name,
        publisher=args.publisher,
        bucket=args.bucket,
        wheels=args.wheels,
        keys=args.sign,
        destination=args.destination,
        aws_ml_topic=args.aws_ml_topic,
        gdk=args.gdk,
        **{key: value for key, value in given.items() if value},
    )
    built = build(order)
    document = {
        "recipes": [str(p) for p in built.recipes],
        "artifacts": [str(p) for p in built.artifacts],
        "bytes": built.size,
        "objects": built.items,
        "findings": [f"{f.severity}: {f.where}: {f.what}" for f in built.findings],
    }
    lines = [
        *map(str, [*built.artifacts, *built.recipes]),
        f"{built.recipes[0].name}: {built.size} bytes, {built.items} objects",
    ]
    lines += document["findings"]  # type: ignore[arg-type]
    return document, "\n".join(lines), not any(f.severity == "error" for f in built.findings)


def _configuration(path: Path) -> dict[str, Any]:
    recipe, _ = read_recipe(path)
    if "accessControl" in recipe:
        raise ExportError(f"{path}: accessControl is made by the build; leave it out")
    return recipe
