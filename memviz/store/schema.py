"""The tables of a store's index, and how an older index becomes one of today."""

from __future__ import annotations

import sqlite3

from memviz.store.answers import Finding

FORMAT = 2
"""Raised when the tables change, with one more of `MIGRATIONS`. A newer index is refused, because the newer memviz that
wrote it may still be using the folder."""
SUM = "SELECT coalesce(sum(n_bytes), 0) FROM (SELECT DISTINCT blob, n_bytes FROM results)"
"""Bytes of files, counted: as `total_of`, but it takes as long as the store is large."""
_TOTALS = """
CREATE TABLE totals (id INTEGER PRIMARY KEY CHECK (id = 1), n_bytes INTEGER NOT NULL, n_uses INTEGER NOT NULL);
CREATE TRIGGER result_put AFTER INSERT ON results
WHEN (SELECT count(*) FROM (SELECT 1 FROM results WHERE blob = NEW.blob LIMIT 2)) = 1
BEGIN UPDATE totals SET n_bytes = n_bytes + NEW.n_bytes; END;
CREATE TRIGGER result_removed AFTER DELETE ON results
WHEN NOT EXISTS (SELECT 1 FROM results WHERE blob = OLD.blob)
BEGIN UPDATE totals SET n_bytes = n_bytes - OLD.n_bytes; END;
CREATE INDEX results_by_use ON results (pinned, used);
"""
"""Triggers keep the total, so that it is right whoever changes a row; a file that several results share counts once.
`n_uses` so far number the results by when they were last used: clocks step."""
SCHEMA = f"""
CREATE TABLE results (
    key TEXT PRIMARY KEY, blob TEXT NOT NULL, n_bytes INTEGER NOT NULL, meta TEXT NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, last_used REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX results_by_blob ON results (blob, n_bytes);
CREATE TABLE requests (key TEXT PRIMARY KEY, request TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests (created);
{_TOTALS}
INSERT INTO totals VALUES (1, 0, 0);
"""
MIGRATIONS = {
    1: f"""
ALTER TABLE results ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
DROP INDEX results_by_use;
UPDATE results SET used = ranked.place FROM
    (SELECT key, row_number() OVER (ORDER BY last_used, key) AS place FROM results) AS ranked
    WHERE ranked.key = results.key;
{_TOTALS}
INSERT INTO totals SELECT 1, ({SUM}), (SELECT count(*) FROM results);
"""
}
"""Format -> what makes it the next one. Every column of a format is in all later ones, so that queries that name the
columns of the oldest can read an older index where it must not be changed: a read-only layer, a full disk."""


def make(connection: sqlite3.Connection) -> None:
    """The tables of today in an empty index."""
    connection.execute("PRAGMA journal_mode = WAL")
    _run(connection, SCHEMA, FORMAT)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """An index of an older format in place, whole or not at all, without touching a result. Raises sqlite3.Error."""
    for old in range(version, FORMAT):
        _run(connection, MIGRATIONS[old], old + 1)


def _run(connection: sqlite3.Connection, script: str, version: int) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {version}; COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def is_readable(version: int) -> bool:
    """Whether an index of this format can be read as it is."""
    return version == FORMAT or version in MIGRATIONS


def total_of(connection: sqlite3.Connection) -> int:
    """Bytes of the files of all results, as kept."""
    return connection.execute("SELECT coalesce(sum(n_bytes), 0) FROM totals").fetchone()[0]


def next_use(connection: sqlite3.Connection) -> int:
    """The number of a use: greater than that of every use before."""
    count = "INSERT INTO totals VALUES (1, 0, 1) ON CONFLICT DO UPDATE SET n_uses = n_uses + 1 RETURNING n_uses"
    return connection.execute(count).fetchone()[0]


def count_anew(connection: sqlite3.Connection) -> list[Finding]:
    """Put the total right; what was wrong."""
    kept, counted = total_of(connection), connection.execute(SUM).fetchone()[0]
    if kept == counted:
        return []
    connection.execute("UPDATE totals SET n_bytes = ?", (counted,))
    return [Finding("index", f"had a total of {kept:,} bytes for files of {counted:,}; counted anew")]
