"""The spool's tables. Their order is part of the format: salvage counts on each having its root on a fixed page."""

__all__ = ["FOR_A_NEW_FILE", "PRAGMAS", "QUEUE_COLUMNS", "SCHEMA", "TABLES", "VERSION"]

VERSION = 1

FOR_A_NEW_FILE = ("PRAGMA page_size = 4096", "PRAGMA auto_vacuum = INCREMENTAL")

PRAGMAS = (
    # One process, one connection: no second one can race for the log, and no shared memory file is needed.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    # FULL: a commit returns when the log is on the disk. NORMAL loses the latest commits in a power cut.
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 512",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -512",
    "PRAGMA trusted_schema = OFF",
)

QUEUE_COLUMNS = "row, rank, seq, id, topic, body, flags, born_s, expires_s, attempts, properties, crc"

TABLES = {
    "queue": QUEUE_COLUMNS,
    "dead": "n, row, rank, seq, topic, body, reason, at_s",
    "drops": "n, rank, reason, first_seq, last_seq, count",
    "commands": "id, topic, body, state, answer, at_s",
    "settings": "key, value",
    "meta": "key, value",
}

SCHEMA = (
    """CREATE TABLE queue (
        row INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, seq INTEGER, id TEXT, topic TEXT NOT NULL,
        body BLOB NOT NULL, flags INTEGER NOT NULL, born_s INTEGER NOT NULL, expires_s INTEGER,
        attempts INTEGER NOT NULL, properties TEXT, crc INTEGER NOT NULL)""",
    "CREATE INDEX queue_rank ON queue (rank, row)",
    "CREATE UNIQUE INDEX queue_id ON queue (id) WHERE id IS NOT NULL",
    """CREATE TABLE dead (
        n INTEGER PRIMARY KEY AUTOINCREMENT, row INTEGER, rank INTEGER, seq INTEGER, topic TEXT, body BLOB,
        reason TEXT NOT NULL, at_s INTEGER NOT NULL)""",
    """CREATE TABLE drops (
        n INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, reason TEXT NOT NULL, first_seq INTEGER,
        last_seq INTEGER, count INTEGER NOT NULL)""",
    """CREATE TABLE commands (
        id TEXT PRIMARY KEY NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, answer TEXT,
        at_s INTEGER NOT NULL)""",
    "CREATE TABLE settings (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)
