"""Work on blocks of rows, in order, on all cores: a few blocks are worked on here, then processes of our own help."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TypeVar

import numpy as np

from memviz.measures.templates import templates_of
from memviz.tokenizer import Tokenizer

ALONE = 32
"""Blocks that are done before processes are started, which takes a second or two."""
_WAITING = 3
"""Blocks that wait for each process, at most."""
Block = TypeVar("Block")
Given = TypeVar("Given")
Found = TypeVar("Found")
_tokenizer: Tokenizer | None = None


def split(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts."""
    return tokenizer.encode_all(texts) if texts else []


def templates(tokenizer: Tokenizer, rows: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """Template of each row, of (t,) ids one after the other and (n,) how many each has."""
    ids, lengths = rows
    return templates_of(
        np.split(ids, lengths.cumsum()[:-1]), lambda row: tokenizer.to_bytes(row).decode("utf-8", "replace")
    )


class Workers:
    """Processes that are started when there is enough to do; a context, which ends them."""

    def __init__(self, tokenizer: Tokenizer, n: int | None = None) -> None:
        self._tokenizer, self._n = tokenizer, n or _n_cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        function: Callable[[Tokenizer, Given], Found],
        blocks: Iterable[Block],
        given: Callable[[Block], Given],
    ) -> Iterator[tuple[Block, Found]]:
        """Each block with what `function` makes of `given(block)`, in order; memory holds a few blocks."""
        waiting: deque[tuple[Block, Future[Found]]] = deque()
        for number, block in enumerate(blocks):
            if self._n < 2 or (self._pool is None and number < ALONE):
                yield block, function(self._tokenizer, given(block))
                continue
            waiting.append((block, self._submit(function, given(block))))
            if len(waiting) > _WAITING * self._n:
                first, future = waiting.popleft()
                yield first, future.result()
        for block, future in waiting:
            yield block, future.result()

    def _submit(self, function: Callable[[Tokenizer, Given], Found], given: Given) -> Future[Found]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork after CUDA has started would not work
            self._pool = ProcessPoolExecutor(self._n, context, _begin, (self._tokenizer,))
        with _script_unseen():
            return self._pool.submit(_work, function, given)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _script_unseen() -> Iterator[None]:
    """A new process would run the caller's script once more, which need not expect it."""
    main = sys.modules["__main__"]
    kept = {name: main.__dict__.get(name) for name in ("__file__", "__spec__")}
    main.__dict__.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        main.__dict__.update(kept)


def _begin(tokenizer: Tokenizer) -> None:
    global _tokenizer
    _tokenizer = tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for each core
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent has ended, which one that is killed does not see to."""
    parent.join()
    os._exit(1)


def _work(function: Callable[[Tokenizer, Given], Found], given: Given) -> Found:
    assert _tokenizer is not None
    return function(_tokenizer, given)
