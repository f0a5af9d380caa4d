"""Room that runs out: memory and disk."""

import shutil
import subprocess
import time

from benchmarks.scoreboard.cases.case import case, end
from benchmarks.scoreboard.harness import Stage, until
from benchmarks.scoreboard.sum import Sum


@case("6", "tens of thousands of events offline: memory bounded, what went is told")
def offline(subject: str, full: bool) -> tuple[bool, Sum]:
    count = 70_000 if full else 8_000
    with Stage.build(subject, full=full, up=False) as stage:
        args = ("--count", str(count), "--rate", "8000", "--spool-bytes", str(count * 250))
        node = stage.node(*args)
        until(lambda: len(node.accepted) >= count or node.process.poll() is not None, count / 2000 + 10)
        stage.open()
        until(lambda: len(stage.listener.events) >= count * 0.5, 10 + count / 1000)
        total = end(stage, node, wait_s=2 + count / 5000)
        told = sum(g["count"] for g in stage.listener.gaps)
        total.notes |= {"receipted": told, "rss_mb": round(node.rss_kb / 1024)}
        return total.sound and told > 0 and node.rss_kb < 150 * 1024, total


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
        node = stage.node(
            "--rate",
            "300",
            "--count",
            "3000",
            "--ballast",
            str(512 << 10),
            within=("unshare", "-rm", "sh", "-c", script, "sh"),
        )
        until(lambda: bool(node.accepted) or node.process.poll() is not None, 20)
        time.sleep(7)
        stage.open()
        # What is not delivered before it stops goes with its namespace: so it gets the time.
        until(lambda: node.process.poll() is not None or (len(node.accepted) >= 2900 and stage.settled(node)), 30)
        total = end(stage, node)
        return total.sound and total.notes["stopped_s"] is not None, total
