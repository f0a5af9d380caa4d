"""`python -m benchmarks.scoreboard [--full] [--subject agent|naive|both] [CASE ...]`: what each case did to each subject.

With --full it keeps the newest record of each case in `benchmarks/results/scoreboard-SUBJECT.json`.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.scoreboard.cases import CASES

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Status 0 when the agent passes every case that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoreboard", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--full", action="store_true", help="the long versions")
    parser.add_argument("--subject", choices=("agent", "naive", "both"), default="both")
    args = parser.parse_args()
    subjects = ("agent", "naive") if args.subject == "both" else (args.subject,)
    rows = []
    for number in args.cases or CASES:
        what, run = CASES[number]
        row: dict[str, object] = {"case": number, "what": what}
        for subject in subjects:
            begun = time.monotonic()
            passed, total = run(subject, args.full)
            row[subject] = {"passed": passed, "seconds": round(time.monotonic() - begun, 1), **asdict(total)}
            mark = "pass" if passed else "FAIL"
            numbers = f"{total.accepted} accepted, {total.missing} missing, {total.duplicates} twice, {total.disordered} out of order"
            print(f"{number:>3}  {subject:6} {mark}  {what}: {numbers} {total.notes}", flush=True)
        rows.append(row)
    for subject in subjects:
        print(f"{subject}: {sum(r[subject]['passed'] for r in rows)} of {len(rows)}")  # type: ignore[index]
    if args.full:
        _record(args.subject, rows)
    return 0 if all(r.get("agent", {"passed": True})["passed"] for r in rows) else 1  # type: ignore[index]


def _record(subject: str, rows: list[dict[str, object]]) -> None:
    """Keeps the newest row of each case."""
    path = RESULTS / f"scoreboard-{subject}.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    known = {row["case"]: row for row in [*before, *rows]}
    document = {
        "command": f"python -m benchmarks.scoreboard --full --subject {subject}",
        "rows": [known[number] for number in CASES if number in known],
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
