"""The answers to a sweep's batches, counted and told of as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from memviz.records import Survey
from memviz.sweeps.asks import WHOLE, Ask, Asks, Share
from memviz.sweeps.progress import SECONDS_BETWEEN, duration
from memviz.sweeps.survey import SurveyTask
from memviz.tasks.base import Context
from memviz.tasks.engines import answers


class Run:
    """One sweep under way: batches are answered, counted and told of."""

    def __init__(self, asks: Asks, context: Context, share: Share = WHOLE) -> None:
        self.asks, self.context, self.share = asks, context, share
        self.start = time.monotonic()
        self.n_computed = self.n_reused = self.n_halved = 0
        self.done = self.computed_tokens = 0
        self.total = -(-asks.n_tokens // share.n)
        self.computing_seconds = 0.0
        self.last_said = 0.0

    def surveys(self) -> Iterator[tuple[Ask, Survey]]:
        """The batches of the share, in order, with what the models say."""
        waiting: deque[Ask] = deque()

        def tasks() -> Iterator[SurveyTask]:
            for ask in self.asks.of(self.share):
                waiting.append(ask)
                yield ask.task

        context = self.context.telling(lambda done, _: self._report(done))
        began = time.perf_counter()
        for _, survey, was_stored in answers(tasks(), context):
            ask = waiting.popleft()
            if was_stored:
                self.n_reused += 1
            else:
                self.n_computed += 1
                self.computing_seconds += time.perf_counter() - began
                self.computed_tokens += ask.n_tokens
            self.n_halved += survey.rows_at_once is not None and int(survey.rows_at_once) < len(survey.generated_ids)
            self.done += ask.n_tokens
            self._report(0)
            self._say_progress(ask)
            yield ask, survey
            began = time.perf_counter()

    def _report(self, done: int) -> None:
        self.context.report(min(self.done + done, self.total), self.total)

    def _say_progress(self, ask: Ask) -> None:
        now = time.monotonic()
        if now - self.last_said < SECONDS_BETWEEN:
            return
        self.last_said = now
        engine = self.context.engine
        left = f", {engine.about()}" if engine is not None else ""
        if self.computed_tokens:
            rate = self.computed_tokens / self.computing_seconds
            left += f", {rate:,.0f} tokens/s, {duration(max(0, self.total - self.done) / rate)} left"
        percent = min(100, 100 * self.done / self.total)
        self.context.say(f"{ask.task.where}; {percent:.0f} %{left}")
