"""What the broker does not take: by policy, by quota, for ever."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.scoreboard.cases.case import case, end, let_it_work
from benchmarks.scoreboard.harness import Stage, until
from benchmarks.scoreboard.sum import Sum


@case(
    "9", "policy denies, by answer and by hanging up, then quota exceeded: kept and alarmed, delivered once it may be"
)
def denied(subject: str, full: bool) -> tuple[bool, Sum]:
    with ThreadPoolExecutor(3) as pool:
        by_answer = pool.submit(_denied, subject, full, "")
        # What AWS IoT Core always does, Mosquitto does with this setting (2.0, handle__publish): it denies, and hangs up.
        by_hanging_up = pool.submit(_denied, subject, full, "max_queued_messages 0\n")
        by_quota = pool.submit(_exceeded, subject, full)
    answered, hung_up, total = by_answer.result(), by_hanging_up.result(), by_quota.result()
    kept = [answered[0], hung_up[0], total.sound and bool(total.notes["alarmed"])]
    total.notes["disordered"] = total.disordered
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
        let_it_work(node)
        flowed = until(lambda: len(stage.listener.events) > 20, 10)
        leaked = sum(camera == "yard" for _, camera, _ in list(stage.listener.events))
        alarmed = until(lambda: "not-taken" in node.alarms, 5)
        # Mosquitto reads its ACL again. Were it restarted, it would let nobody read who is not connected yet, and
        # acknowledge what it then throws away (eclipse-mosquitto/mosquitto, issue 384).
        acl.write_text("topic readwrite #\n")
        stage.broker.send_signal(signal.SIGHUP)
        came = until(lambda: any(camera == "yard" for _, camera, _ in list(stage.listener.events)), 20)
        calm = until(lambda: "not-taken" not in node.alarms, 10)
        total = end(stage, node, wait_s=1)
        total.notes |= {
            "others_flowed": flowed,
            "alarmed": alarmed,
            "came": came,
            "alarm_ended": calm,
            "disordered": total.disordered,
        }
        return total.sound and flowed and not leaked and alarmed and came and calm, total


def _exceeded(subject: str, full: bool) -> Sum:
    with Stage.build(subject, full=full) as stage:
        node = stage.node("--rate", "100")
        let_it_work(node)
        stage.proxy.mode = "quota"
        alarmed = until(lambda: "not-taken" in node.alarms, 5)
        time.sleep(2)
        refused, stage.proxy.mode = stage.proxy.refused, "pass"
        total = end(stage, node, wait_s=4)
        total.notes |= {"alarmed": alarmed, "refused": refused}
        return total


@case("10", "oversize payload and NUL in a topic: set aside, the rest flows")
def poison(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full, extra="message_size_limit 131072") as stage:
        node = stage.node("--poison", "--count", "400")
        until(lambda: len(node.accepted) >= 400 or node.process.poll() is not None, 8)
        total = end(stage, node, wait_s=1)
        until(lambda: sum(g["count"] for g in stage.listener.gaps) >= len(stage.poison), 1)
        total.notes["set_aside"] = len(stage.poison)
        return total.sound and len(stage.poison) > 0, total
