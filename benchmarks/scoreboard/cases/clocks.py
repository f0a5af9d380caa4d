"""A wall clock that jumps."""

import time

from benchmarks.scoreboard.cases.case import case, end, let_it_work
from benchmarks.scoreboard.harness import Stage
from benchmarks.scoreboard.sum import Sum


@case("23", "wall clock +1 h, then -1 day")
def clock_jumps(subject: str, full: bool) -> tuple[bool, Sum]:
    with Stage.build(subject, full=full) as stage:
        offset = stage.folder / "offset"
        offset.write_text("0")
        node = stage.node("--clock", str(offset))
        let_it_work(node)
        for jump in ("3600", "-86400"):
            time.sleep(1)
            stage.proxy.mode = "refuse"
            stage.proxy.reset()
            offset.write_text(jump)
            time.sleep(1.5)
            stage.proxy.mode = "pass"
        connects = len(stage.proxy.connects)
        total = end(stage, node, wait_s=3)
        total.notes["connects"] = connects
        return total.sound, total
