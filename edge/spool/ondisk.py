"""What lies in the spool of a node that does not run, read and left as it is: what waits, and what it was told to do."""

import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

__all__ = ["commands_on_disk", "waiting_on_disk"]


def waiting_on_disk(spool: Path) -> list[int]:
    """The numbers that wait in a spool whose agent does not run.

    Raises:
        ConfigError: when there is none, or an agent has it.
    """
    rows = _rows(spool, "SELECT seq FROM queue WHERE rank >= 0 AND seq IS NOT NULL ORDER BY seq")
    return [seq for (seq,) in rows]


def commands_on_disk(spool: Path) -> list[dict[str, Any]]:
    """What was said to a node whose agent does not run, oldest first: done, refused, or interrupted.

    Raises:
        ConfigError: when there is none, or an agent has it.
    """
    sql = "SELECT id, topic, body, state, answer, at_s FROM commands ORDER BY rowid"
    return [
        {
            "at": datetime.fromtimestamp(at_s, timezone.utc).isoformat(),
            "id": ident.split(" ")[-1],
            "topic": topic,
            "state": state,
            "answer": answer,
            "body": bytes(body).decode(errors="replace"),
        }
        for ident, topic, body, state, answer, at_s in _rows(spool, sql)
    ]


def _rows(spool: Path, sql: str) -> list[tuple[Any, ...]]:
    if not spool.exists():
        raise ConfigError(f"{spool}: no such file; state_dir says where a node keeps its spool")
    try:
        with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=1)) as db:
            return db.execute(sql).fetchall()
    except sqlite3.Error as e:
        raise ConfigError(f"{spool}: {e}; stop the agent first") from e
