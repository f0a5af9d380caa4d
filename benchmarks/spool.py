"""P10: messages accepted a second with group commit, drained a second to a broker; bytes written and memory held."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from edge.spool import AgeClock, Bounds, Drop, Record, Spool

_BODY = json.dumps({"schema": "event/1.0", "pad": "x" * 560}).encode()


def measure() -> list[dict[str, Any]]:
    """A row a figure."""
    return [
        *_in_a_process_of_its_own("accept"),
        *_in_a_process_of_its_own("memory"),
        *_in_a_process_of_its_own("drain"),
    ]


def _in_a_process_of_its_own(what: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.spool", what], capture_output=True, text=True, check=True)
    return [{"goal": "", **row} for row in json.loads(done.stdout)]


def open_spool(folder: Path, **more: Any) -> Spool:
    """A spool as the agent opens it, but without a ballast."""
    bounds = Bounds(**{"ballast_bytes": 0, "max_bytes": 1 << 30, "drain_per_s": 1e9, **more})
    clock = AgeClock(time.monotonic, time.time, lambda: True)
    return Spool(folder / "spool.db", bounds=bounds, clock=clock, mono_s=time.monotonic, receipt=_receipt)


def _receipt(drop: Drop) -> Record:
    return Record("edge/n1/gap", json.dumps({"n": drop.count}).encode(), 3)


def _event(seq: int) -> Record:
    return Record("edge/n1/gate/event", _BODY, 3, seq=seq, stamped=True)


def accept(rows: list[dict[str, Any]], messages: int = 60_000) -> None:
    """Offline: one thread puts, one commits; accepted when it is on the disk."""
    with tempfile.TemporaryDirectory(prefix="spool-", dir=os.environ.get("BENCH_DIR")) as folder:
        spool = open_spool(Path(folder))
        spool.inbox._max_bytes = 1 << 30  # noqa: SLF001 - nothing is to be given up here
        before = _written()
        begun = time.perf_counter()
        ended = threading.Event()

        def put() -> None:
            for seq in range(1, messages + 1):
                spool.put(_event(seq))
            ended.set()

        thread = threading.Thread(target=put)
        thread.start()
        while not ended.is_set():
            spool.tick()
            time.sleep(0.002)
        thread.join()
        spool.flush()
        seconds = time.perf_counter() - begun
        if spool.depth < messages:
            raise SystemExit("not everything was accepted")
        written = _written() - before
        spool.close()
        rows.append(
            {"figure": "accepted per second, 600 bytes each", "value": round(messages / seconds), "goal": 10_000}
        )
        rows.append({"figure": "bytes written per message, groups of 1000", "value": round(written / messages)})
    for group in (1, 20, 100):
        with tempfile.TemporaryDirectory(prefix="spool-") as folder:
            spool = open_spool(Path(folder))
            count = 200 if group == 1 else 2000
            before = _written()
            for seq in range(1, count + 1):
                spool.put(_event(seq))
                if seq % group == 0:
                    spool.flush()
            spool.close()
            written = _written() - before
            rows.append({"figure": f"bytes written per message, groups of {group}", "value": round(written / count)})


def memory(rows: list[dict[str, Any]], messages: int = 50_000) -> None:
    """Resident memory that 1000 spooled messages cost."""
    with tempfile.TemporaryDirectory(prefix="spool-") as folder:
        spool = open_spool(Path(folder))
        for seq in range(1, 5001):
            spool.put(_event(seq))
            spool.tick()
        spool.flush()
        before = _resident()
        for seq in range(5001, 5001 + messages):
            spool.put(_event(seq))
            spool.tick()
        spool.flush()
        grown = _resident() - before
        rows.append(
            {
                "figure": "KiB of memory per 1000 spooled messages",
                "value": round(grown / 1024 / messages * 1000, 1),
                "goal": 1024,
            }
        )
        spool.close()


def drain(rows: list[dict[str, Any]], messages: int = 20_000) -> None:
    """From the disk to a real Mosquitto on this machine, through the agent's own uplink and transport."""
    from benchmarks.scoreboard.harness import Broker, until
    from edge.clock import Clock
    from edge.delivery.uplink import Uplink
    from edge.transports import MqttTransport
    from edge.transports.mqttsettings import MqttSettings

    with tempfile.TemporaryDirectory(prefix="spool-") as name:
        folder = Path(name)
        broker = Broker(folder)
        broker.start()
        try:
            spool = open_spool(folder)
            for seq in range(1, messages + 1):
                spool.put(_event(seq))
                if seq % 1000 == 0:
                    spool.flush()
            transport = MqttTransport(MqttSettings("127.0.0.1", broker.port, "drain"))
            uplink = Uplink(transport, spool, status_topic="edge/n1/status", clock=Clock())
            begun = time.perf_counter()
            uplink.start()
            if not until(lambda: uplink.sent >= messages, 120):
                raise SystemExit(f"only {uplink.sent} of {messages} were delivered")
            seconds = time.perf_counter() - begun
            uplink.stop(5)
            spool.close()
        finally:
            broker.stop()
    rows.append(
        {"figure": "delivered per second from the disk, QoS 1", "value": round(messages / seconds), "goal": 2500}
    )


def _written() -> int:
    """Bytes that this process caused to be written to a device."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    _FOUND: list[dict[str, Any]] = []
    {"accept": accept, "memory": memory, "drain": drain}[sys.argv[1]](_FOUND)
    print(json.dumps(_FOUND))
