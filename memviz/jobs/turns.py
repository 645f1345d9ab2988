"""Whose turn it is among those who wait."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from memviz.jobs.job import Job


def in_turn(queued: Iterable[Job], turns: Mapping[str, int], least: int) -> Iterator[tuple[Job, int]]:
    """Queued jobs, oldest first, in the order in which they run, with their turns; n log n of n jobs.

    The next is of the session that was served least, the oldest of its own. turns: how often each was served; `least`
    for those who are not in it. Turns only grow, so a place in the heap that is too early is found out when it comes.
    """
    turns, groups = dict(turns), dict[frozenset[str], deque[Job]]()
    for job in queued:
        groups.setdefault(frozenset(job.sessions), deque()).append(job)

    def place(sessions: frozenset[str]) -> tuple[int, int]:
        return min((turns.get(each, least) for each in sessions), default=least), groups[sessions][0].id

    heap = [(place(sessions), sessions) for sessions in groups]
    heapq.heapify(heap)
    while heap:
        then, sessions = heapq.heappop(heap)
        if (now := place(sessions)) == then:
            yield groups[sessions].popleft(), now[0]
            for session in sessions:
                turns[session] = turns.get(session, least) + 1
        if groups[sessions]:
            heapq.heappush(heap, (place(sessions), sessions))
