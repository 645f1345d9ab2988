"""Connections that ask nothing: closed after a while, and for newer ones where the process has as many as it can."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

log = logging.getLogger(__name__)
MOST = 800
"""Open at once; half of the files that the process may open, where those are fewer than twice as many."""
PATIENCE = 20.0
"""Seconds that a connection may take to ask something, or to ask something more."""
LOOKS = 5.0
"""Seconds between two looks."""
WANTED_FILES = 4096
"""Files that the process asks to be allowed to have open."""
REFUSED = "socket.accept() out of system resource"
"""What asyncio says, some thousand times in a second, where no file is left for a connection."""


class Connections:
    """Every connection of uvicorn's, which closes none that has not yet asked and has no limit to their number."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._idle: dict[Any, tuple[object, float]] = {}
        """Connection -> the last thing it asked and since when that is so, in the order in which they came."""

    def admit(self, connection: Any) -> None:
        """A connection that was just made: where there are too many, the oldest one that asks nothing goes for it."""
        self._idle[connection] = (None, self._clock())
        if len(connection.server_state.connections) <= self._most:
            return
        goes = next((each for each in self._idle if _asks_nothing(each)), connection)
        del self._idle[goes]
        goes.transport.close()

    def look(self) -> None:
        """Close those that have asked nothing for too long."""
        now = self._clock()
        for each, (asked, since) in list(self._idle.items()):
            if each.transport.is_closing() or each.transport.get_protocol() is not each:  # a socket by now
                del self._idle[each]
            elif not _asks_nothing(each) or each.cycle is not asked:
                self._idle[each] = (each.cycle, now)
            elif now - since > PATIENCE:
                del self._idle[each]
                each.transport.close()


def _asks_nothing(connection: Any) -> bool:
    """Whether no question of a connection is being answered."""
    here = connection.transport.get_protocol() is connection and not connection.transport.is_closing()
    return here and (connection.cycle is None or connection.cycle.response_complete)


def keep_bounded() -> None:
    """Bound the connections of this process, from its running event loop. To be called before it listens."""
    loop, connections = asyncio.get_running_loop(), Connections(min(MOST, _files() // 2))
    made: Any = AutoHTTPProtocol.connection_made

    def connection_made(self: Any, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        connections.admit(self)

    def look() -> None:
        connections.look()
        loop.call_later(LOOKS, look)

    # uvicorn has no setting for it, and makes its protocol where nobody can give it another.
    setattr(AutoHTTPProtocol, "connection_made", connection_made)  # noqa: B010
    loop.set_exception_handler(_refused_once())
    look()


def _files() -> int:
    """How many files this process may have open, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard))
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted if soft != resource.RLIM_INFINITY else WANTED_FILES


def _refused_once() -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """A handler of the event loop's errors that says once a minute, in one line, that connections are refused."""
    last = -60.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal last
        if context.get("message") != REFUSED:
            loop.default_exception_handler(context)
        elif time.monotonic() - last >= 60:
            last = time.monotonic()
            log.error("connections are refused: %s", context.get("exception"))

    return handle
