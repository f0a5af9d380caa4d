"""What each case did to each subject: `python -m benchmarks.scoreboard [--full] [--subject agent|naive|both] [CASE ...]`.

With --full it keeps the newest record of each case in `benchmarks/results/scoreboard-SUBJECT.json`. How to add a case is
said in `benchmarks/scoreboard/cases/__init__.py`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.scoreboard.board import JOBS, numbers, play

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Status 0 when the agent passes every case that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoreboard", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all of {', '.join(numbers())}")
    parser.add_argument("--full", action="store_true", help="the long versions")
    parser.add_argument("--subject", choices=("agent", "naive", "both"), default="both")
    parser.add_argument("--jobs", type=int, default=JOBS, help="cases at a time (default %(default)s)")
    args = parser.parse_args()
    unknown = sorted(set(args.cases) - set(numbers()))
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(numbers())}")
    sound = True
    for subject in ("agent", "naive") if args.subject == "both" else (args.subject,):
        rows = []
        for row in play(args.cases or numbers(), subject, full=args.full, jobs=args.jobs):
            rows.append(row)
            if args.full:
                _record(subject, [row])
            mark = "pass" if row["passed"] else "FAIL"
            told = f"{row['accepted']} accepted, {row['missing']} missing, {row['duplicates']} twice, {row['disordered']} out of order"
            print(
                f"{row['case']:>3}  {subject:6} {mark} {row['seconds']:6.1f} s  {row['what']}: {told} {row['notes']}",
                flush=True,
            )
        passed = sum(row["passed"] for row in rows)
        print(f"{subject}: {passed} of {len(rows)}")
        sound &= subject == "naive" or passed == len(rows)
    return 0 if sound else 1


def _record(subject: str, rows: list[dict[str, Any]]) -> None:
    """Keeps the newest row of each case."""
    path = RESULTS / f"scoreboard-{subject}.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    known = {row["case"]: row for row in [*before, *rows]}
    kept = [known[number] for number in numbers() if number in known]
    document = {
        "command": f"python -m benchmarks.scoreboard --full --subject {subject}",
        "passed": f"{sum(row.get('passed', False) for row in kept)} of {len(kept)}",
        "rows": kept,
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
