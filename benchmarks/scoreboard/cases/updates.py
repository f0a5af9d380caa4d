"""The cases of model updates: what is damaged, foreign, old, hostile or broken is refused while the old model runs."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scoreboard.cases.case import case
from benchmarks.scoreboard.harness import ROOT, until
from benchmarks.scoreboard.sum import Sum
from benchmarks.scoreboard.updatednode import PATIENCE_S, UpdatedNode, running

# The releases are those of the tests, which are no package.
sys.path.append(str(ROOT / "tests"))

from bundles import detection_bundle
from releases import release

from export.release import make_key_files

PHASES = ("downloading", "verifying", "installing", "probing", "shadowing", "switching", "watching")


def _refuses(node: UpdatedNode, offers: Sequence[tuple[str, Path, str]]) -> tuple[bool, Sum]:
    """Whether every offer fails and the old model goes on after each."""
    notes: dict[str, Any] = {}
    sound = True
    for name, archive, sha256 in offers:
        ended = node.bring(archive, sha256)
        goes_on = node.looks() and set(node.versions) == {"1.0.0"}
        sound &= ended["phase"] == "failed" and bool(goes_on)
        notes[name] = (ended["reason"] or str(ended["phase"])).rpartition(".zip: ")[2][:100]
    return sound and node.end(signal.SIGTERM) == 0, Sum(notes=notes)


def _naive(offers: Callable[[Path], Sequence[tuple[str, Path, str]]]) -> tuple[bool, Sum]:
    """What people write: unpack it, load it, and if nothing is raised it is the model from now on."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="scoreboard-") as name:
        folder = Path(name)
        notes = {}
        for what, archive, _ in offers(folder):
            try:
                with zipfile.ZipFile(archive) as found:
                    found.extractall(folder / "model" / what)
                onnxruntime.InferenceSession(str(folder / "model" / what / "model.onnx"))
                notes[what] = "taken"
            except Exception as e:  # noqa: BLE001, PERF203 - whatever it is, it was not taken
                notes[what] = f"not taken: {type(e).__name__}"
        return "taken" not in notes.values(), Sum(notes=notes)


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _damaged(folder: Path, private: Path, other: Path) -> list[tuple[str, Path, str]]:
    unsigned, digest = release(folder, "1.1.0", rounds=1)
    theirs, theirs_digest = release(folder, "1.2.0", rounds=1, sign=[other])
    good, good_digest = release(folder, "1.3.0", rounds=1, sign=[private])
    bit = folder / "bit.zip"
    raw = bytearray(good.read_bytes())
    raw[raw.index(b"squares")] ^= 1  # in the graph: onnxruntime would load it without a word
    bit.write_bytes(raw)
    return [
        ("unsigned", unsigned, digest),
        ("signed by another", theirs, theirs_digest),
        ("one bit", bit, _sha256(bit)),
        ("another digest", good, good_digest[::-1]),
    ]


@case("15", "a bundle with a bad signature, a bad hash, one bit changed: refused, the old model runs")
def damaged(subject: str, full: bool) -> tuple[bool, Sum]:  # noqa: ARG001 - one length
    with tempfile.TemporaryDirectory(prefix="scoreboard-keys-") as name:
        private, public, _ = make_key_files(Path(name) / "ours")
        other, _, _ = make_key_files(Path(name) / "theirs")
        if subject == "naive":
            return _naive(lambda folder: _damaged(folder, private, other))
        with running() as node:
            # The bundle that is configured was put there by a person; what comes over the wire must be signed.
            node.end(signal.SIGTERM)
            detection_bundle(node.folder / "plain")
            own, _ = release(node.folder, "1.0.0", sign=[private])
            text = node.config.read_text()
            node.config.write_text(text.replace('bundle = "old"', f'bundle = "{own}"\nkeys = ["{public}"]'))
            if not node.start():
                return False, Sum(notes={"start": "no events"})
            return _refuses(node, _damaged(node.folder, private, other))


def _foreign(folder: Path) -> list[tuple[str, Path, str]]:
    return [
        ("older", *release(folder, "0.9.0", rounds=1)),
        ("another node", *release(folder, "1.1.0", rounds=1, nodes=("barn-*",))),
        ("another machine", *release(folder, "1.2.0", rounds=1, machines=("riscv64",))),
    ]


@case("16", "a downgrade, and a bundle for another node or machine: refused")
def foreign(subject: str, full: bool) -> tuple[bool, Sum]:  # noqa: ARG001 - as above
    if subject == "naive":
        return _naive(_foreign)
    with running() as node:
        ended = node.bring(*release(node.folder, "1.0.0", rounds=2))
        if ended["phase"] != "committed":
            return False, Sum(notes={"same version": ended})
        return _refuses(node, _foreign(node.folder))


def _hostile(folder: Path) -> list[tuple[str, Path, str]]:
    good, _ = release(folder, "1.1.0", rounds=1)
    with zipfile.ZipFile(good) as found:
        files = {name: found.read(name) for name in found.namelist()}
    offers = []
    for what, extra in {
        "../": zipfile.ZipInfo("../escaped"),
        "absolute": zipfile.ZipInfo("/tmp/scoreboard-escaped"),  # noqa: S108 - that nothing is written there is the point
        "symlink": zipfile.ZipInfo("golden/link"),
    }.items():
        path = folder / f"{what.strip('./') or 'up'}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
            if what == "symlink":
                extra.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(extra, b"/etc/passwd")
        offers.append((what, path, _sha256(path)))
    bomb = folder / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data if name != "labels.txt" else bytes(200 << 20))
    offers.append(("bomb", bomb, _sha256(bomb)))
    return offers


@case("17", "../, a symlink, an absolute path, a bomb: nothing is written outside, caps hold")
def hostile(subject: str, full: bool) -> tuple[bool, Sum]:  # noqa: ARG001 - as above
    if subject == "naive":
        return _naive(_hostile)
    with running() as node:
        passed, total = _refuses(node, _hostile(node.folder))
        outside = [p for p in (Path("/tmp/scoreboard-escaped"), node.folder / "state" / "escaped") if p.exists()]  # noqa: S108
        state = sum(p.stat().st_size for p in (node.folder / "state" / "n1.models").rglob("*") if p.is_file())
        total.notes |= {"outside": len(outside), "left_bytes": state}
        return passed and not outside and state < 1 << 20, total


@case("18", "SIGKILL at each phase of an update: the old or the new model, it always starts")
def killed(subject: str, full: bool) -> tuple[bool, Sum]:
    if subject == "naive":
        return _naive_killed()
    notes: dict[str, Any] = {}
    sound = True
    for phase in PHASES if full else ("shadowing", "watching"):
        with tempfile.TemporaryDirectory(prefix="scoreboard-") as name:
            node = UpdatedNode(Path(name))
            try:
                passed, notes[phase] = _killed_in(node, phase)
                sound &= passed
            finally:
                node.close()
    return sound, Sum(notes=notes)


def _killed_in(node: UpdatedNode, phase: str) -> tuple[bool, dict[str, Any]]:
    """Kills it there; it starts with either model, and what was begun comes to its end by itself."""
    flag = node.folder / "flag"
    looked = node.start(phase, str(flag))
    node.send(*release(node.folder, "1.1.0", rounds=1))
    there = until(flag.exists, PATIENCE_S)
    node.end(signal.SIGKILL)
    node.versions.clear()
    begun = time.monotonic()
    starts = node.start()
    first, took = node.versions[:1], time.monotonic() - begun
    ended = until(lambda: any(u["phase"] == "committed" for u in node.updates), PATIENCE_S)
    runs = node.looks() and node.versions[-1] == "1.1.0"
    clean = node.end(signal.SIGTERM) == 0
    notes = {"starts_with": first, "looks_after_s": round(took, 1), "committed": ended}
    return looked and there and starts and ended and runs and clean, notes


def _naive_killed() -> tuple[bool, Sum]:
    """Copies the new model over the old one; killed in the middle, there is neither."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="scoreboard-") as name:
        folder = Path(name)
        model = detection_bundle(folder / "old") / "model.onnx"
        half = (
            "import sys, time; data = open(sys.argv[1], 'rb').read(); f = open(sys.argv[1], 'wb')\n"
            "f.write(data[:len(data) // 2]); f.flush(); print('half', flush=True); time.sleep(60)"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", half, str(model)], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        try:
            onnxruntime.InferenceSession(str(model))
        except Exception as e:  # noqa: BLE001 - it does not start, whatever it says
            return False, Sum(notes={"start": type(e).__name__})
        return True, Sum()


@case("19", "valid but broken models (not numbers, slow, huge): the probe fails, the old one runs")
def broken(subject: str, full: bool) -> tuple[bool, Sum]:
    def offers(folder: Path) -> list[tuple[str, Path, str]]:
        kinds = ("nan", "crooked", "huge", "slow") if full else ("nan", "huge")
        return [(kind, *release(folder, "2.0.0", broken=kind)) for kind in kinds]

    if subject == "naive":
        # Not the huge one: nothing would keep it from taking this machine down.
        return _naive(lambda folder: [offer for offer in offers(folder) if offer[0] != "huge"])
    with running() as node:
        if full:
            text = node.config.read_text()
            node.end(signal.SIGTERM)
            node.config.write_text(text.replace("max_slowdown = 200", "max_slowdown = 20"))
            if not node.start():
                return False, Sum(notes={"start": "no events"})
        return _refuses(node, offers(node.folder))
