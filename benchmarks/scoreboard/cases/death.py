"""Processes that die: of the broker, of the node, by chance or by order."""

import random
import signal
import time

from benchmarks.scoreboard.cases.case import case, end, let_it_work
from benchmarks.scoreboard.harness import Stage, until
from benchmarks.scoreboard.sum import Sum


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
                let_it_work(node)
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
        total = end(stage, node, wait_s=3)
        return total.sound, total


@case("4", "SIGKILLs and cuts at random")
def killed_and_cut(subject: str, full: bool) -> tuple[bool, Sum]:
    kills, cuts = (40, 90) if full else (3, 7)
    chance = random.Random(4)  # noqa: S311 - which turn comes next
    turns = ["kill"] * kills + ["cut"] * cuts
    chance.shuffle(turns)
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "500")
        for turn in turns:
            let_it_work(node)
            time.sleep(chance.uniform(0.2, 0.9))
            if turn == "kill":
                node.kill()
                stage.take(node)
                node = stage.node("--rate", "500")
            else:
                before = len(stage.listener.events)
                stage.proxy.reset()
                until(lambda before=before: len(stage.listener.events) > before, 10)
        total = end(stage, node, wait_s=3)
        total.notes["duplicate_share"] = round(total.duplicates / max(1, total.accepted), 4)
        return total.sound and total.duplicates < 0.05 * total.accepted, total


@case("24", "SIGTERM under load: ends with 0 within 10 s, says stopped, loses nothing")
def terminated(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "3000")
        let_it_work(node)
        total = end(stage, node, wait_s=3)
        took, status = total.notes["stopped_s"], stage.listener.status
        total.notes["status"] = status[:3]
        return total.sound and took is not None and took < 10 and "stopped" in status, total
