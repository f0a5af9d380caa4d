"""The connection: away at the start, cut, swallowed, silent, stormy."""

import signal
import time

from benchmarks.scoreboard.cases.case import case, end, let_it_work
from benchmarks.scoreboard.harness import Stage, until
from benchmarks.scoreboard.sum import Sum


@case("1", "broker down at start")
def down_at_start(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full, up=False) as stage:
        node = stage.node()
        let_it_work(node)
        stage.open()
        total = end(stage, node, wait_s=4)
        return total.sound and total.notes["stopped_s"] is not None, total


@case("2", "network cut for 4 s")
def cut(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        let_it_work(node)
        stage.proxy.mode = "refuse"
        stage.proxy.reset()
        time.sleep(4)
        stage.proxy.mode = "pass"
        total = end(stage, node, wait_s=3)
        return total.sound, total


@case("7", "black hole: packets vanish; noticed within 2 x keepalive")
def black_hole(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        let_it_work(node)
        before = len(stage.proxy.connects)
        stage.proxy.mode = "blackhole"
        begun = time.monotonic()
        noticed = until(lambda: len(stage.proxy.connects) > before, 13)
        took = time.monotonic() - begun
        stage.proxy.mode = "pass"
        stage.proxy.reset()
        total = end(stage, node, wait_s=4)
        total.notes["noticed_s"] = round(took, 1) if noticed else None
        return total.sound and noticed and took <= 10.5, total


@case("8", "broker silent: no acknowledgements; recovers, and stops within 20 s")
def silent(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node()
        let_it_work(node)
        stage.broker.send_signal(signal.SIGSTOP)
        time.sleep(12)
        stage.broker.send_signal(signal.SIGCONT)
        time.sleep(4)
        stage.broker.send_signal(signal.SIGSTOP)
        time.sleep(1)
        took = node.stop()
        stage.take(node)
        stage.broker.send_signal(signal.SIGCONT)
        total = end(stage, node, wait_s=0)
        total.notes["stopped_s"] = None if took is None else round(took, 2)
        return total.sound and took is not None and took < 20, total


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
        total = end(stage, node, wait_s=2)
        gaps = [b - a for a, b in zip(stage.proxy.connects, stage.proxy.connects[1:], strict=False)]
        spread = max(gaps) - min(gaps) if gaps else 0.0
        total.notes |= {"most_under_way": stage.proxy.most_under_way, "connects": len(stage.proxy.connects)}
        return total.sound and 0 < stage.proxy.most_under_way <= 20 and spread > 0.05, total
