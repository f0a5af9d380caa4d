"""Cases that the tests already are: played by pytest, with the same real broker and processes. CI does not play them twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.scoreboard.cases.case import case
from benchmarks.scoreboard.sum import Sum

__all__ = ["SUITES"]

ROOT = Path(__file__).resolve().parents[3]
_WIRE = "tests/system/test_commands_wire.py"
SUITES = {
    "5": ("simulated power cuts: no committed row lost, the file opens", ("tests/edge/test_spool_power.py",)),
    "12": (
        "200 malformed commands: publishing goes on",
        (f"{_WIRE}::test_commands_when_200_are_malformed_then_publishing_goes_on", "tests/edge/test_commands.py"),
    ),
    "13": (
        "unsigned, replayed, expired command: refused, audited",
        (f"{_WIRE}::test_command_when_signing_is_required_then_unsigned_expired_and_replayed_are_refused",),
    ),
    "14": (
        "command while down: executed exactly once",
        (f"{_WIRE}::test_command_when_the_node_is_down_then_it_is_done_exactly_once",),
    ),
    "25": (
        "TLS: wrong CA, host, client certificate; secrets; nothing secret in logs; the sandbox's exposure",
        (
            "tests/system/test_tls.py",
            "tests/system/test_systemd.py",
            "tests/system/test_broker_trouble.py::"
            "test_run_when_the_password_is_readable_by_everyone_then_it_is_not_used",
            "tests/system/test_broker_trouble.py::"
            "test_run_when_the_broker_refuses_the_password_then_it_says_so_once_and_is_never_online",
        ),
    ),
}


def _play(subject: str, tests: tuple[str, ...]) -> tuple[bool, Sum]:
    if subject == "naive":
        return False, Sum(notes={"why": "it has nothing of the kind"})
    env = {**os.environ, "SPOOL_POWER_CUTS": "120"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    return done.returncode == 0 and counts.get("passed", 0) > 0, Sum(notes={"tests": counts})


for _number, (_what, _tests) in SUITES.items():
    case(_number, _what)(lambda subject, _full, tests=_tests: _play(subject, tests))  # type: ignore[misc]
