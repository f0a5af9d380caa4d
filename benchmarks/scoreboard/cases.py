"""The cases of delivery, each as what is done to a node and what has to hold afterwards."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from benchmarks.scoreboard.harness import Node, Stage, Sum, until

__all__ = ["CASES", "Case"]

Case = Callable[[str, bool], tuple[bool, Sum]]
CASES: dict[str, tuple[str, Case]] = {}


def case(number: str, what: str) -> Callable[[Case], Case]:
    """Puts a case on the board."""

    def register(function: Case) -> Case:
        CASES[number] = what, function
        return function

    return register


def _let_it_work(node: Node) -> None:
    """A process that is killed while it starts has accepted nothing that could be lost."""
    until(lambda: len(node.accepted) > 100 or node.process.poll() is not None, 20)


def _end(stage: Stage, node: Node, *, wait_s: float = 1.0) -> Sum:
    """Lets it run on a little, stops it, and adds up."""
    time.sleep(wait_s)
    took = node.stop()
    stage.take(node)
    total = stage.sum()
    total.notes["stopped_s"] = None if took is None else round(took, 2)
    return total


@case("1", "broker down at start")
def down_at_start(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full, up=False) as stage:
        node = stage.node()
        time.sleep(2)
        stage.open()
        total = _end(stage, node, wait_s=4)
        return total.sound and total.notes["stopped_s"] is not None, total


@case("2", "network cut for 4 s")
def cut(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        time.sleep(1.5)
        stage.proxy.mode = "refuse"
        stage.proxy.reset()
        time.sleep(4)
        stage.proxy.mode = "pass"
        total = _end(stage, node, wait_s=3)
        return total.sound, total


@case("3", "broker kill -9 and node SIGKILL, again and again; broker autosave 1 s")
def killed_both(subject: str, full: bool) -> tuple[bool, Sum]:
    brokers, nodes = (8, 14) if full else (2, 4)
    chance = random.Random(3)  # noqa: S311 - which turn comes next
    turns = ["broker"] * brokers + ["node"] * nodes
    chance.shuffle(turns)
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        for turn in turns:
            time.sleep(chance.uniform(0.8, 1.8))
            if turn == "node":
                _let_it_work(node)
                node.kill()
                stage.take(node)
                node = stage.node()
            else:
                # What it had acknowledged and not yet handed on or saved would be its loss, not the node's.
                stage.proxy.mode = "refuse"
                stage.proxy.reset()
                time.sleep(1.6)
                stage.broker.stop(signal.SIGKILL)
                stage.broker.start()
                stage.proxy.mode = "pass"
        total = _end(stage, node, wait_s=3)
        return total.sound, total


@case("4", "SIGKILLs and cuts at random")
def killed_and_cut(subject: str, full: bool) -> tuple[bool, Sum]:
    kills, cuts = (40, 90) if full else (5, 12)
    chance = random.Random(4)  # noqa: S311 - which turn comes next
    turns = ["kill"] * kills + ["cut"] * cuts
    chance.shuffle(turns)
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "500")
        for turn in turns:
            time.sleep(chance.uniform(0.2, 0.9))
            if turn == "kill":
                _let_it_work(node)
                node.kill()
                stage.take(node)
                node = stage.node("--rate", "500")
            else:
                stage.proxy.reset()
        total = _end(stage, node, wait_s=3)
        total.notes["duplicate_share"] = round(total.duplicates / max(1, total.accepted), 4)
        return total.sound and total.duplicates < 0.05 * total.accepted, total


@case("6", "tens of thousands of events offline: memory bounded, what went is told")
def offline(subject: str, full: bool) -> tuple[bool, Sum]:
    count = 70_000 if full else 8_000
    with Stage.build(subject, full=full, up=False) as stage:
        args = ("--count", str(count), "--rate", "8000", "--spool-bytes", str(count * 250))
        node = stage.node(*args)
        until(lambda: len(node.accepted) >= count or node.process.poll() is not None, count / 2000 + 10)
        stage.open()
        until(lambda: len(stage.listener.events) >= count * 0.5, 10 + count / 1000)
        total = _end(stage, node, wait_s=2 + count / 5000)
        told = sum(g["count"] for g in stage.listener.gaps)
        total.notes |= {"receipted": told, "rss_mb": round(node.rss_kb / 1024)}
        return total.sound and told > 0 and node.rss_kb < 150 * 1024, total


@case("7", "black hole: packets vanish; noticed within 2 x keepalive")
def black_hole(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        time.sleep(1.5)
        before = len(stage.proxy.connects)
        stage.proxy.mode = "blackhole"
        begun = time.monotonic()
        noticed = until(lambda: len(stage.proxy.connects) > before, 13)
        took = time.monotonic() - begun
        stage.proxy.mode = "pass"
        stage.proxy.reset()
        total = _end(stage, node, wait_s=4)
        total.notes["noticed_s"] = round(took, 1) if noticed else None
        return total.sound and noticed and took <= 10.5, total


@case("8", "broker silent: no acknowledgements; recovers, and stops within 20 s")
def silent(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        time.sleep(1.5)
        stage.broker.send_signal(signal.SIGSTOP)
        time.sleep(12)
        stage.broker.send_signal(signal.SIGCONT)
        time.sleep(4)
        stage.broker.send_signal(signal.SIGSTOP)
        time.sleep(1)
        took = node.stop()
        stage.take(node)
        stage.broker.send_signal(signal.SIGCONT)
        # The next run delivers what this one could not.
        node = stage.node("--count", "1")
        total = _end(stage, node, wait_s=3)
        total.notes["stopped_s"] = None if took is None else round(took, 2)
        return total.sound and took is not None and took < 20, total


@case(
    "9", "policy denies, by answer and by hanging up, then quota exceeded: kept and alarmed, delivered once it may be"
)
def denied(subject: str, full: bool) -> tuple[bool, Sum]:
    answered = _denied(subject, full, "")
    # What AWS IoT Core always does, Mosquitto does with this setting (2.0, handle__publish): it denies, and hangs up.
    hung_up = _denied(subject, full, "max_queued_messages 0\n")
    total = _exceeded(subject, full)
    kept = [answered[0], hung_up[0], total.sound and bool(total.notes["alarmed"])]
    total.notes |= {"by_answer": answered[1].notes, "by_hanging_up": hung_up[1].notes}
    for one in (answered[1], hung_up[1]):
        total.accepted += one.accepted
        total.missing += one.missing
        total.duplicates += one.duplicates
        total.disordered += one.disordered
    return all(kept), total


def _denied(subject: str, full: bool, extra: str) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full, extra=f"{extra}acl_file FOLDER/acl", up=False) as stage:
        acl = stage.folder / "acl"
        acl.write_text("topic read #\ntopic write edge/n1/status\ntopic write edge/n1/gate/event\n")
        acl.chmod(0o644)
        stage.open()
        node = stage.node("--rate", "50")
        _let_it_work(node)
        flowed = until(lambda: len(stage.listener.events) > 20, 10)
        leaked = sum(camera == "yard" for _, camera, _ in list(stage.listener.events))
        alarmed = until(lambda: "not-taken" in node.alarms, 5)
        # Mosquitto reads its ACL again. Were it restarted, it would let nobody read who is not connected yet, and
        # acknowledge what it then throws away (eclipse-mosquitto/mosquitto, issue 384).
        acl.write_text("topic readwrite #\n")
        stage.broker.send_signal(signal.SIGHUP)
        came = until(lambda: any(camera == "yard" for _, camera, _ in list(stage.listener.events)), 20)
        calm = until(lambda: "not-taken" not in node.alarms, 10)
        total = _end(stage, node, wait_s=1)
        total.notes |= {"others_flowed": flowed, "alarmed": alarmed, "came": came, "alarm_ended": calm}
        return total.sound and flowed and not leaked and alarmed and came and calm, total


def _exceeded(subject: str, full: bool) -> Sum:
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "100")
        _let_it_work(node)
        stage.proxy.mode = "quota"
        alarmed = until(lambda: "not-taken" in node.alarms, 5)
        time.sleep(2)
        refused, stage.proxy.mode = stage.proxy.refused, "pass"
        total = _end(stage, node, wait_s=4)
        total.notes |= {"alarmed": alarmed, "refused": refused}
        return total


@case("10", "oversize payload and NUL in a topic: set aside, the rest flows")
def poison(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full, extra="message_size_limit 131072") as stage:
        node = stage.node("--poison", "--count", "400")
        until(lambda: len(node.accepted) >= 400 or node.process.poll() is not None, 8)
        total = _end(stage, node, wait_s=1)
        until(lambda: sum(g["count"] for g in stage.listener.gaps) >= len(stage.poison), 1)
        total.notes["set_aside"] = len(stage.poison)
        return total.sound and len(stage.poison) > 0, total


@case("11", "reconnect storm: 12 connections; jittered, and never more than the window under way")
def storm(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        stage.proxy.delay_s = 0.02
        node = stage.node("--rate", "300")
        until(lambda: bool(stage.proxy.connects), 5)
        for _ in range(12):
            before = len(stage.proxy.connects)
            time.sleep(0.4)
            stage.proxy.reset()
            until(lambda before=before: len(stage.proxy.connects) > before, 4)
        stage.proxy.delay_s = 0.0
        total = _end(stage, node, wait_s=4)
        gaps = [b - a for a, b in zip(stage.proxy.connects, stage.proxy.connects[1:], strict=False)]
        spread = max(gaps) - min(gaps) if gaps else 0.0
        total.notes |= {"most_under_way": stage.proxy.most_under_way, "connects": len(stage.proxy.connects)}
        return total.sound and 0 < stage.proxy.most_under_way <= 20 and spread > 0.05, total


@case("22", "disk full and given back, live")
def disk_full(subject: str, full: bool) -> tuple[bool, Sum]:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        return False, Sum(notes={"skipped": "no user namespaces here"})
    with Stage.build(subject, full=full, up=False) as stage:
        # A real file system of 3 MB, filled up by somebody else and emptied again while the node runs.
        mount = stage.folder / "state"
        mount.mkdir()
        script = (
            f"mount -t tmpfs -o size=3m none {mount} && (sleep 2; dd if=/dev/zero of={mount}/filler bs=1k 2>/dev/null; "
            f'sleep 4; rm {mount}/filler) & sleep 0.3; exec "$@"'
        )
        node = _in_namespace(stage, script, "--rate", "300", "--ballast", str(512 << 10))
        until(lambda: bool(node.accepted) or node.process.poll() is not None, 20)
        (stage.folder / "go").touch()
        time.sleep(7)
        stage.open()
        total = _end(stage, node, wait_s=4)
        return total.sound and total.notes["stopped_s"] is not None, total


def _in_namespace(stage: Stage, script: str, *args: str) -> Node:
    popen = subprocess.Popen

    def wrapped(command: list[str], **more: object) -> "subprocess.Popen[str]":
        return popen(["unshare", "-rm", "sh", "-c", script, "sh", *command], **more)  # type: ignore[call-overload,no-any-return]

    subprocess.Popen = wrapped  # type: ignore[assignment,misc]
    try:
        return stage.node(*args)
    finally:
        subprocess.Popen = popen  # type: ignore[misc]


@case("23", "wall clock +1 h, then -1 day")
def clock_jumps(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        offset = stage.folder / "offset"
        offset.write_text("0")
        node = stage.node("--clock", str(offset))
        _let_it_work(node)
        for jump in ("3600", "-86400"):
            time.sleep(1)
            stage.proxy.mode = "refuse"
            stage.proxy.reset()
            offset.write_text(jump)
            time.sleep(1.5)
            stage.proxy.mode = "pass"
        connects = len(stage.proxy.connects)
        total = _end(stage, node, wait_s=3)
        total.notes["connects"] = connects
        return total.sound, total


@case("24", "SIGTERM under load: ends with 0 within 10 s, says stopped, loses nothing")
def terminated(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "3000")
        total = _end(stage, node, wait_s=3)
        until(lambda: "stopped" in stage.listener.status, 2)
        node = stage.node("--count", "1")
        time.sleep(3)
        node.stop()
        total_after = stage.sum()
        total_after.notes = {"stopped_s": total.notes["stopped_s"], "status": stage.listener.status[:3]}
        took = total.notes["stopped_s"]
        return total_after.sound and took is not None and took < 10 and "stopped" in stage.listener.status, total_after
