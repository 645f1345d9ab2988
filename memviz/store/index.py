"""The SQLite index of a store: which results and requests there are. Opened late, shared by processes and threads."""

from __future__ import annotations

import logging
import os
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar, cast
from urllib.parse import quote

from filelock import FileLock

from memviz.errors import Failure
from memviz.store.files import refusal
from memviz.store.schema import FORMAT, is_readable, make, migrate

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
ATTEMPTS = 5
_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('results', 'requests')"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

Identity = tuple[int, ...]


class Opened(NamedTuple):
    connection: sqlite3.Connection
    identity: Identity | None
    """Which file it is; None where the connection is good for one use only."""


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _close(idle: list[Opened], pid: int) -> None:
    with suppress(IndexError):  # another thread may take the last one
        while pid == os.getpid():
            idle.pop().connection.close()


class Index:
    """The index of the store at `root`, in a folder of its own so that it is set aside by one rename.

    Idle connections wait in a list, never in a thread: pages run in ever new threads.
    """

    def __init__(self, root: Path, readonly: bool = False) -> None:
        self.root = root
        self.readonly = readonly
        self.folder = root / "index"
        self.path = self.folder / "index.sqlite"
        self._inherited: list[Opened] = []
        self._warned = False
        self._start_pool()

    def read(self, work: Callable[[sqlite3.Connection], T], absent: T) -> T:
        """What `work` finds, or `absent` where there is no index or it cannot be read (logged)."""
        try:
            return self._attempt(work, False, absent, reading=True)
        except Failure as error:
            if not self.readonly:
                raise
            self._warn(f"read-only store left out: {error}")
            return absent
        except (OSError, sqlite3.Error) as error:
            self._warn(f"the index in {self.root} cannot be read: {error}")
            return absent

    def write(self, work: Callable[[sqlite3.Connection], T], n_bytes: int = 0) -> T:
        """`work` in one transaction, done whole or not at all; makes the index if need be. Raises Failure.

        `work` may run again, after a damaged or removed index was replaced. FileNotFoundError passes through.
        """
        return self._transaction(work, True, cast(T, None), n_bytes)  # never absent: it is made

    def change(self, work: Callable[[sqlite3.Connection], T], absent: T) -> T:
        """As `write`, but where there is no index none is made and `absent` is returned."""
        return self._transaction(work, False, absent, 0)

    def set_aside(self, identity: Identity | None, why: str) -> None:
        """Begin a new index in place of the one that `identity` names; results are a cache."""
        moved = self.move_away(identity)
        if moved is not None:
            sentence = "%s: %s; set aside as %s, a new index is started; `memviz store verify` frees the old results"
            log.warning(sentence, self.root, why, moved.name)

    def move_away(self, identity: Identity | None) -> Path | None:
        """Rename the index that `identity` names, unless another process was faster; its new place."""
        if identity is None:  # locking would make the folder
            return None
        with self._lock():
            if self.identity() != identity:
                return None
            taken = {path.name for path in self.root.iterdir()}
            name = next(name for n in range(1, len(taken) + 2) if (name := f"index.damaged-{n}") not in taken)
            return self.folder.rename(self.root / name)

    def close(self) -> None:
        """Close the idle connections; the next use opens a new one."""
        _close(self._idle, self._pid)

    def _start_pool(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Opened] = []
        weakref.finalize(self, _close, self._idle, self._pid)  # at exit too: the last to close completes the index file

    def _transaction(self, work: Callable[[sqlite3.Connection], T], create: bool, absent: T, n_bytes: int) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            return result

        try:
            return self._attempt(whole, create, absent)
        except (OSError, sqlite3.Error) as error:
            if create and isinstance(error, FileNotFoundError):
                raise
            raise refusal(self.root, error, n_bytes) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T], create: bool, absent: T, reading: bool = False) -> T:
        for left in reversed(range(ATTEMPTS)):
            identity = self.identity()
            if identity is None and not create:
                return absent
            opened = None
            try:
                opened = self._take(identity, create, reading)
                result = work(opened.connection)
                self._idle.append(opened)
                return result
            except BaseException as error:
                if opened is not None:
                    opened.connection.close()  # rolls back
                if not isinstance(error, sqlite3.Error) or self.readonly or not left:
                    raise
                if _code(error) in DAMAGED:
                    self.set_aside(identity, f"the index is damaged ({error})")
                elif identity is not None and self.identity() == identity:  # not replaced under our hands
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def identity(self) -> Identity | None:
        """Which index file is there now, or None."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        # a layer is read without locks, so a changed file must be opened anew
        return (stat.st_dev, stat.st_ino, *((stat.st_size, stat.st_mtime_ns) if self.readonly else ()))

    def _has_log(self) -> bool:
        log_file = self.path.with_name(self.path.name + "-wal")
        return log_file.exists() and log_file.stat().st_size > 0

    def _take(self, identity: Identity | None, create: bool, reading: bool) -> Opened:
        if self._pid != os.getpid():  # a connection must not even be closed in a forked child: keep it, unused
            self._inherited = self._idle
            self._start_pool()
        while True:
            try:
                opened = self._idle.pop()
            except IndexError:
                return self._open(create, reading)
            if opened.identity is not None and opened.identity == identity:
                return opened
            opened.connection.close()

    def _open(self, create: bool, reading: bool) -> Opened:
        if create and self.identity() is None:
            self._create()
        before = self.identity()
        try:
            connection, version = self._connect("mode=ro&immutable=1" if self.readonly else "mode=rw")
            identity = before if before == self.identity() else None
        except sqlite3.OperationalError as error:
            if not reading or self.readonly or _code(error) not in UNWRITABLE:
                raise
            connection, version = self._connect("mode=ro&immutable=1")  # a full or read-only disk can still be read
            identity = None
        if version == FORMAT or (self.readonly and is_readable(version)):
            if self.readonly and connection.execute(_TABLES).fetchone()[0] != 2:  # a view could run without an end
                connection.close()
                raise Failure(f"the index in {self.root} is none of memviz's: leave this store out")
            if self.readonly and self._has_log():
                self._warn(f"{self.root} was not closed by its last writer; `memviz store verify` there completes it")
            return Opened(connection, identity)
        if version > FORMAT or self.readonly:
            connection.close()
            raise Failure(
                f"the index in {self.root} has format {version} and this memviz reads {FORMAT}; "
                "update memviz or set MEMVIZ_CACHE to another folder"
            )
        try:
            self._create()
        except (OSError, sqlite3.Error):
            if reading and is_readable(version):  # a full or read-only disk, or a writer that takes its time
                return Opened(connection, None)
            connection.close()
            raise
        connection.close()
        return self._open(create, reading)

    def _connect(self, mode: str) -> tuple[sqlite3.Connection, int]:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?{mode}",
            uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            # NORMAL: a power cut may lose the last rows but never the order of things; a lost row is recomputed
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection, connection.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            connection.close()
            raise

    def _create(self) -> None:
        """An index of this format at `path`: made, or made of an older one. What is none of memviz's is set aside."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            connection, version = self._connect("mode=rwc")
            try:
                if version == FORMAT:
                    return
                if not version and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return make(connection)
                if is_readable(version):
                    log.info("the index in %s of format %d becomes one of format %d", self.root, version, FORMAT)
                    return migrate(connection, version)
            finally:
                connection.close()
            identity = self.identity()
        self.set_aside(identity, f"the index is none of memviz's (format {version})")
        self._create()

    def _lock(self) -> FileLock:
        return FileLock(self.root / "store.lock", timeout=BUSY_SECONDS)

    def _warn(self, sentence: str) -> None:
        log.log(logging.DEBUG if self._warned else logging.WARNING, sentence)
        self._warned = True
