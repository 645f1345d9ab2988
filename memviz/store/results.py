"""`Store`: put and get results by the hash of their request, within a limit of bytes."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from memviz.errors import Failure, InputError
from memviz.store.answers import Finding, Pin, StoredRequest, StoreStats
from memviz.store.files import Files, content_name, decode, encode, refusal, remove_folder, remove_orphans
from memviz.store.index import ATTEMPTS, BUSY_SECONDS, Index
from memviz.store.keys import canonical_json, checked_key, checked_prefix
from memviz.store.notes import noted, notes
from memviz.store.schema import SUM, count_anew, next_use, total_of

log = logging.getLogger(__name__)

TOUCH_SECONDS = 60.0
"""A result read again within this time keeps its `last_used`, so that reading hardly ever writes."""
HOLDS = "holds"
"""Folder of notes: from which use on nothing may go."""


class _Row(NamedTuple):
    blob: str
    n_bytes: int
    meta: str
    last_used: float


class Store:
    """Results in the folder `root`, at most `limit` bytes of them, above the read-only stores `readonly`.

    Nothing is made on disk before the first write. One object serves any number of threads; any number of processes
    may use one folder. A layer must not be in use: what its last writer has not closed is not seen.
    """

    def __init__(self, root: Path, limit: int, readonly: Sequence[Path] = ()) -> None:
        self.root = Path(root)
        self.limit = int(limit)
        self._index = Index(self.root)
        self._files = Files(self.root)
        layers = [(Index(Path(layer), readonly=True), Files(Path(layer))) for layer in readonly]
        self._stores = ((self._index, self._files), *layers)

    def put(self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Keep arrays and their provenance (JSON) under a request's hash; the least recently used may go for them.

        Raises ValueError for what cannot be stored, Failure where the disk is full or not writable.
        """
        checked_key(key)
        note = canonical_json("meta", meta)
        content = encode(arrays)
        row = _Row(content_name(content), len(content), note, time.time())
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._put_once(key, content, row)
            except FileNotFoundError as error:  # removed under our hands: write it again
                if not left:
                    raise refusal(self.root, error) from error

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Read-only arrays and provenance, or None: not there, or damaged, which is logged and set aside."""
        checked_key(key)
        for index, files, row in self._rows(key, touch=True):
            content = files.read(row.blob, row.n_bytes)
            if content is None and not index.readonly:
                content = self._recheck(row.blob, row.n_bytes)
            elif content is None:
                log.warning("the file of result %s is damaged in the read-only store %s", key, index.root)
            try:
                if content is not None:
                    return decode(content), json.loads(row.meta)
            except (ValueError, TypeError, RecursionError) as error:  # an index that lies, in a layer made by others
                log.warning("result %s in %s cannot be read: %s", key, index.root, error)
        return None

    def has(self, key: str) -> bool:
        """Whether the result is there, its content unchecked."""
        return any(files.has(row.blob) for _, files, row in self._rows(checked_key(key)))

    def pin(self, key: str) -> None:
        """Keep a result from eviction; those of read-only layers never go. Raises InputError if it is not stored."""
        if not self.has(key):
            raise InputError(f"result {key} is not in the store {self.root}; compute it before pinning it")
        self._set_pinned(key, True)

    def unpin(self, key: str) -> None:
        """Let a result go when it is the least recently used."""
        self._set_pinned(checked_key(key), False)

    def pins(self) -> list[Pin]:
        """What is kept from eviction, newest first."""
        query = "SELECT key, n_bytes, meta, created FROM results WHERE pinned = 1 ORDER BY created DESC"
        rows: list[tuple[str, int, str, float]] = self._index.read(lambda c: c.execute(query).fetchall(), [])
        return [Pin(key, n_bytes, json.loads(meta), created) for key, n_bytes, meta, created in rows]

    def delete(self, key: str) -> bool:
        """Remove one result, pinned or not; False where there is none. Layers are never changed."""
        checked_key(key)
        n_results, _ = self._index.change(lambda c: self._remove(c, "key = ?", (key,)), (0, 0))
        return n_results > 0

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While the block runs, no result that anybody puts or reads from now on goes for another. Raises Failure."""
        query = "SELECT coalesce(max(used), 0) FROM results WHERE last_used < ?"  # reads of younger ones are not noted
        uses = self._index.read(lambda c: c.execute(query, (time.time() - TOUCH_SECONDS,)).fetchone()[0], 0)
        with noted(self.root / HOLDS, {"uses": uses}):
            yield

    def room(self) -> int:
        """Bytes that results which are not pinned may take."""
        return self.limit - sum(each.n_bytes for each in self.pins())

    def clear(self, everything: bool = False) -> tuple[int, int]:
        """Remove all results but the pinned ones: how many, and the bytes freed.

        With `everything` also pins, requests, quarantine and set-aside indexes; that works on a full disk too.
        """
        if not everything:
            return self._index.change(lambda c: self._remove(c, "pinned = 0", ()), (0, 0))
        n_results = self.stats().n_results
        try:
            self._index.move_away(self._index.identity())
            junk = (self._files.folder, self._files.quarantine, *self.root.glob("index.damaged-*"))
            return n_results, sum(remove_folder(folder) for folder in junk)
        except OSError as error:
            raise refusal(self.root, error) from error

    def stats(self) -> StoreStats:
        def work(connection: sqlite3.Connection) -> tuple[int, int, int, int]:
            n_results, n_pinned = connection.execute(
                "SELECT count(*), coalesce(sum(pinned), 0) FROM results"
            ).fetchone()
            n_requests = connection.execute("SELECT count(*) FROM requests").fetchone()[0]
            return n_results, n_pinned, n_requests, connection.execute(SUM).fetchone()[0]

        n_results, n_pinned, n_requests, n_bytes = self._index.read(work, (0, 0, 0, 0))
        layers = tuple(index.root for index, _ in self._stores if index.readonly)
        n_quarantined = self._files.n_quarantined()
        return StoreStats(n_results, n_bytes, self.limit, n_pinned, n_quarantined, n_requests, layers)

    def verify(self) -> list[Finding]:
        """Read every result again; damaged ones go to quarantine, files that no result needs go when an hour old."""
        findings = []
        identity = self._index.identity()
        state = self._index.read(lambda c: c.execute("PRAGMA quick_check(1)").fetchone()[0], "ok")
        if state != "ok":
            self._index.set_aside(identity, f"the index is damaged ({state})")
        if identity is not None and identity != self._index.identity():
            findings.append(Finding("index", "was damaged and is set aside; its results have to be computed again"))
        blobs: list[tuple[str, int]] = self._index.read(
            lambda c: c.execute("SELECT DISTINCT blob, n_bytes FROM results").fetchall(), []
        )
        for blob, n_bytes in blobs:
            if self._files.read(blob, n_bytes) is None and self._recheck(blob, n_bytes) is None:
                findings.append(Finding(blob, "was damaged or missing; its results have to be computed again"))
        if self._files.folder.exists():  # an index that was set aside leaves files without rows
            findings += self._index.write(partial(remove_orphans, files=self._files)) + self._index.write(count_anew)
        self._index.read(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone(), None)
        return findings

    def put_request(self, key: str, request: Mapping[str, Any]) -> None:
        """Keep a request, which is tiny, until everything is cleared; putting it again makes it the newest."""
        text = canonical_json("request", request)
        values = (checked_key(key), text, time.time())
        try:
            self._index.write(
                lambda c: c.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?)", values), len(text)
            )
        except FileNotFoundError as error:
            raise refusal(self.root, error) from error

    def get_request(self, key_or_prefix: str) -> dict[str, Any] | None:
        """The request of this hash, of which 8 characters are enough. Raises InputError if it is none or ambiguous."""
        prefix = checked_prefix(key_or_prefix)
        query = "SELECT key, request FROM requests WHERE key >= ? AND key < ? LIMIT 2"
        found: dict[str, str] = {}
        for index, _ in self._stores:
            found = dict(index.read(lambda c: c.execute(query, (prefix, prefix + "g")).fetchall(), [])) | found
        if len(found) > 1:
            raise InputError(f"request {prefix} is ambiguous: {' and '.join(sorted(found)[:2])}; give more characters")
        try:
            return json.loads(next(iter(found.values()))) if found else None
        except (ValueError, TypeError, RecursionError) as error:  # an index that lies, in a layer made by others
            raise InputError(f"the stored request {prefix} is damaged ({error}): ask anew") from None

    def requests(self, limit: int) -> list[StoredRequest]:
        """The newest requests of this store, newest first."""
        query = "SELECT key, request, created FROM requests ORDER BY created DESC LIMIT ?"
        rows: list[tuple[str, str, float]] = self._index.read(lambda c: c.execute(query, (limit,)).fetchall(), [])
        return [StoredRequest(key, json.loads(request), created) for key, request, created in rows]

    def close(self) -> None:
        """Close idle index files, for instance before the folder is moved; the store stays usable."""
        for index, _ in self._stores:
            index.close()

    def _rows(self, key: str, touch: bool = False) -> Iterator[tuple[Index, Files, _Row]]:
        """The rows of a key, own store first."""
        for index, files in self._stores:
            row = index.read(partial(self._row, key=key, touch=touch and not index.readonly), None)
            if row is not None:
                yield index, files, row

    def _row(self, connection: sqlite3.Connection, key: str, touch: bool) -> _Row | None:
        query = "SELECT blob, n_bytes, meta, last_used FROM results WHERE key = ?"
        values = connection.execute(query, (key,)).fetchone()
        row = None if values is None else _Row(*values)
        now = time.time()
        if touch and row is not None and abs(now - row.last_used) > TOUCH_SECONDS:  # the clock may have stepped back
            connection.execute("PRAGMA busy_timeout = 0")  # reading waits for no writer
            try:
                connection.execute("BEGIN IMMEDIATE")
                use = next_use(connection)
                connection.execute("UPDATE results SET last_used = ?, used = ? WHERE key = ?", (now, use, key))
                connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                log.debug("use of %s not noted: %s", key, error)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_SECONDS)}")
        return row

    def _put_once(self, key: str, content: bytes, row: _Row) -> None:
        self._files.write(row.blob, content)
        try:
            self._index.write(lambda c: self._insert(c, key, row), row.n_bytes)
        except Failure:
            self._forget(row)
            raise

    def _insert(self, connection: sqlite3.Connection, key: str, row: _Row) -> None:
        if not self._files.path(row.blob).exists():  # another process removed it before this row could protect it
            raise FileNotFoundError(self._files.path(row.blob))
        gone = "DELETE FROM results WHERE key = ? RETURNING blob, n_bytes, pinned"
        replaced = connection.execute(gone, (key,)).fetchall()
        pinned = any(each[2] for each in replaced)
        connection.execute(
            "INSERT INTO results VALUES (:key, :blob, :n_bytes, :meta, :pinned, :last_used, :last_used, :used)",
            {"key": key, **row._asdict(), "pinned": pinned, "used": next_use(connection)},
        )
        self._remove_unused(connection, [each[:2] for each in replaced])
        excess = total_of(connection) - self.limit
        before = min((each["uses"] for each in notes(self.root / HOLDS)), default=2**62) if excess > 0 else 0
        oldest = "SELECT key FROM results WHERE pinned = 0 AND key != ? AND used <= ? ORDER BY used, key LIMIT 1"
        while excess > 0 and (victim := connection.execute(oldest, (key, before)).fetchone()):
            excess -= self._remove(connection, "key = ?", victim)[1]

    def _remove(self, connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> tuple[int, int]:
        """Remove rows and the files only they needed; how many, and the bytes freed."""
        rows = connection.execute(f"DELETE FROM results WHERE {where} RETURNING blob, n_bytes", values).fetchall()
        return len(rows), self._remove_unused(connection, rows)

    def _remove_unused(self, connection: sqlite3.Connection, blobs: Iterable[tuple[str, int]]) -> int:
        """Remove those of the files, given with their sizes, that no row needs any more; the bytes freed."""
        needed = "SELECT 1 FROM results WHERE blob = ? LIMIT 1"
        unused = [(blob, n_bytes) for blob, n_bytes in set(blobs) if not connection.execute(needed, (blob,)).fetchone()]
        for blob, _ in unused:
            self._files.remove(blob)
        return sum(n_bytes for _, n_bytes in unused)

    def _forget(self, row: _Row) -> None:
        """After a failed put: do not leave its file behind on a disk that may be full."""
        try:
            self._index.change(lambda c: self._remove_unused(c, [row[:2]]), 0)
        except Failure:
            log.debug("file %s of a failed put is left to verify", row.blob)

    def _recheck(self, blob: str, n_bytes: int) -> bytes | None:
        """The content after all, if a writer just renewed it; else rows and file are out of the way."""

        def work(connection: sqlite3.Connection) -> bytes | None:
            keys = connection.execute("SELECT key FROM results WHERE blob = ?", (blob,)).fetchall()
            content = self._files.read(blob, n_bytes) if keys else None
            if keys and content is None:
                connection.execute("DELETE FROM results WHERE blob = ?", (blob,))
                moved = self._files.set_aside(blob)
                what = f"damaged and moved to {self._files.quarantine}" if moved else "missing"
                log.warning("the file of result %s is %s; it has to be computed again", keys[0][0], what)
            return content

        try:
            return self._index.change(work, None)
        except Failure as error:
            log.warning("the file %s of a result is damaged and cannot be set aside: %s", blob, error)
            return None

    def _set_pinned(self, key: str, pinned: bool) -> None:
        self._index.change(lambda c: c.execute("UPDATE results SET pinned = ? WHERE key = ?", (pinned, key)), None)
