"""A node that makes events at a rate and says which it holds for accepted: through the agent's delivery, or naively.

    python -m benchmarks.scoreboard.node agent --broker mqtt://127.0.0.1:1883 --state DIR --rate 200

prints `accepted N` lines: every event up to number N is safe, as far as this subject is concerned.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

CAMERAS = ("gate", "yard")


def main() -> None:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=("agent", "naive"))
    parser.add_argument("--broker", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--count", type=int, default=0, help="stop making events after so many")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--spool-bytes", type=int, default=256 << 20)
    parser.add_argument("--ballast", type=int, default=0)
    parser.add_argument("--poison", action="store_true", help="also make what no broker takes")
    parser.add_argument("--clock", type=Path, help="a file with seconds to add to the wall clock")
    args = parser.parse_args()
    if args.clock is not None:
        _jump_with(args.clock)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    {"agent": _agent, "naive": _naive}[args.subject](args, stopped)


def _jump_with(path: Path) -> None:
    real, real_ns = time.time, time.time_ns

    def offset() -> float:
        try:
            return float(path.read_text() or 0)
        except (OSError, ValueError):
            return 0.0

    time.time = lambda: real() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)


def _say(word: str, number: object) -> None:
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


def _most_resident_kb() -> int:
    """Of this program alone: getrusage's ru_maxrss also counts what its parent held when it forked (Linux, exec_mmap)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def _body(seq: int, boot: str, size: int, camera: str) -> dict[str, object]:
    return {"schema": "event/1.0", "node": "n1", "boot_id": boot, "seq": seq, "camera": camera, "pad": "x" * size}


def _agent(args: argparse.Namespace, stopped: threading.Event) -> None:  # noqa: C901 - a script, top to bottom
    from edge.clock import Clock
    from edge.config import Config
    from edge.delivery.delivery import Delivery
    from edge.message import IllegalMessageError, Importance, Message, encode
    from edge.sequence import new_id

    config = Config.model_validate(
        {
            "model": {"bundle": "none"},
            "cameras": {c: {"source": 0} for c in CAMERAS},
            "mqtt": {
                "broker": args.broker, "node": "n1", "keepalive_s": 5, "reconnect_min_s": 0.1, "reconnect_max_s": 2.0,
            },
            "spool": {"max_bytes": args.spool_bytes, "ballast_bytes": args.ballast, "drain_per_s": 5000},
            "state_dir": str(args.state),
        }
    )  # fmt: skip
    boot = new_id(time.time_ns())
    delivery = Delivery(config, boot_id=boot, clock=Clock())
    delivery.start()
    waiting: deque[tuple[int, int]] = deque()
    begun, made, told, alarms = time.monotonic(), 0, 0, [""]
    while not stopped.is_set():
        if alarms != (alarms := delivery.figures()["alarms"]):
            _say("alarms", json.dumps(alarms))
        due = int((time.monotonic() - begun) * args.rate)
        while made < (min(due, args.count) if args.count else due):
            seq = delivery.sequence.next()
            if not made:
                _say("boot", f"{boot} {seq}")
            camera = CAMERAS[seq % 2]
            topic = f"edge/n1/{camera}/event"
            body = encode(_body(seq, boot, args.size, camera))
            if args.poison and made % 50 == 25:
                topic, body = ("edge/n1/\0/event", body) if made % 100 == 25 else (topic, body + b" " * 200_000)
            try:
                delivery.outbox.put(Message(topic, body, Importance.A, seq=seq))
                waiting.append((delivery.spool.inbox.last_row, seq))
            except IllegalMessageError as e:
                _say("poison", seq)
                delivery.outbox.refuse(topic, body, str(e), seq)
            made += 1
        try:
            safe = delivery.spool.committed_row
        except RuntimeError:  # the uplink's thread has just changed what is looked at
            safe = 0
        while waiting and waiting[0][0] <= safe:
            told = waiting.popleft()[1]
        if told:
            _say("accepted", told)
            told = 0
        stopped.wait(0.01)
    if args.count:
        _say("rss", _most_resident_kb())
    clean = delivery.stop(2.0)
    kept = delivery.spool.flush()
    delivery.close()
    if waiting and kept:
        _say("accepted", waiting[-1][1])
    sys.exit(0 if clean else 1)


def _naive(args: argparse.Namespace, stopped: threading.Event) -> None:
    """What is written first: connect, loop_start, publish. What it published it holds for delivered."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="naive")
    parts = urlsplit(args.broker)
    client.connect(parts.hostname or "", parts.port or 1883, 60)
    client.loop_start()
    boot = f"boot-{os.getpid()}"
    _say("boot", f"{boot} 1")
    begun, made = time.monotonic(), 0
    while not stopped.is_set():
        due = int((time.monotonic() - begun) * args.rate)
        while made < (min(due, args.count) if args.count else due):
            made += 1
            camera = CAMERAS[made % 2]
            topic, pad = f"edge/n1/{camera}/event", args.size
            if args.poison and made % 50 == 25:
                topic, pad = ("edge/n1/\0/event", pad) if made % 100 == 25 else (topic, 200_000)
            if pad == 200_000 or "\0" in topic:
                _say("poison", made)
            client.publish(topic, json.dumps(_body(made, boot, pad, camera)))
            _say("accepted", made)
        stopped.wait(0.01)
    if args.count:
        _say("rss", _most_resident_kb())
    client.loop_stop()


if __name__ == "__main__":
    main()
