"""One step of decoding on keys and values that stay where they are, so that it can be captured and compiled.

Rows and lengths come in buckets, for each of which a step is made once; places that no row takes are computed too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from transformers.cache_utils import Cache, StaticLayer

from memviz.engine.examination import DISAGREES
from memviz.engine.loading import Loaded, first_line
from memviz.engine.reader import Fed, Reader, RoomyLayer
from memviz.engine.sizes import n_layers

log = logging.getLogger(__name__)
Steps = Literal["dynamic", "fixed", "compiled"]
"""On a cache that grows; on a fixed one, captured as one graph on CUDA; the same with kernels compiled for it."""
ROWS = (1, 8, 32, 64, 128, 256)
"""Rows of a bucket; above the last one its multiples. The ones between 32 and 128 serve batches that were halved."""
LENGTH = 64
"""Lengths of buckets are its multiples."""
BACKEND: str | Callable[..., Any] = "inductor"
_N_CHECKED, _N_READ = 4, 8
_WARM = 3
"""Calls before a capture, as torch asks for."""
_ROOM = "room"


def usual_steps(loaded: Loaded) -> Steps:
    """How its device decodes for who does not say."""
    return "fixed" if loaded.device.type == "cuda" else "dynamic"


class FixedLayer(StaticLayer):
    """Keys and values (R, heads, L, d) of one layer, written where `read` () int64, shared by all layers, says."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, read: torch.Tensor) -> None:
        super().__init__(keys.shape[-2])
        self.keys, self.values, self.cumulative_length = keys, values, read
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states (R, heads, q, d) of q tokens; all places."""
        at = torch.arange(key_states.shape[-2], device=self.device) + self.cumulative_length
        self.keys.index_copy_(2, at, key_states)
        self.values.index_copy_(2, at, value_states)
        return self.keys, self.values


class Step:
    """One token of each of R rows of at most L tokens."""

    def __init__(self, loaded: Loaded, storage: Sequence[Storage], n_rows: int, length: int, compiled: bool) -> None:
        device = loaded.device
        self.n_rows, self.length = n_rows, length
        self.read = torch.zeros((), dtype=torch.long, device=device)
        self.layers = [FixedLayer(*each.views(n_rows, length), self.read) for each in storage]
        self._loaded, self._cache = loaded, Cache(layers=self.layers)
        self._ids = torch.zeros((n_rows, 1), dtype=torch.long, device=device)
        self._replay: Callable[[], None] | None = None
        self._found: tuple[torch.Tensor, torch.Tensor] | None = None
        self._call = self._forward
        if compiled:
            self._call = torch.compile(  # type: ignore[call-overload]  # its types lack the last argument
                self._forward, backend=BACKEND, fullgraph=True, dynamic=False, isolate_recompiles=True
            )
        if device.type == "cuda":
            self._capture()

    def _forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Last states (R, q, d) and logits (R, q, V) of (R, q) tokens behind those that are read."""
        q = ids.shape[1]
        positions = (self.read + torch.arange(q, device=ids.device)).expand(len(ids), -1)
        head, body = self._loaded.head, self._loaded.model.base_model
        assert head is not None
        states = body(
            input_ids=ids, past_key_values=self._cache, position_ids=positions, use_cache=True, return_dict=True
        ).last_hidden_state
        self.read.add_(q)
        return states, head(states)

    def _capture(self) -> None:
        """Record the step as one graph, on a stream of its own; other threads may go on meanwhile."""
        device = self._loaded.device
        with torch.cuda.device(device):
            aside, here = torch.cuda.Stream(), torch.cuda.current_stream()
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(_WARM):
                    self._call(self._ids)
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._found = self._call(self._ids)
        self._replay = graph.replay

    def clear(self) -> None:
        """Forget all rows; what lies behind a row's tokens is multiplied by 0, so it must be finite."""
        self.read.zero_()
        for layer in self.layers:
            layer.keys.zero_()
            layer.values.zero_()

    def __call__(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_forward`, of the first r rows (r, q); the others read token 0."""
        r, q = ids.shape
        if q > 1:
            padded = ids if r == self.n_rows else torch.cat([ids, ids.new_zeros(self.n_rows - r, q)])
            states, logits = self._forward(padded)
            return states[:r], logits[:r]
        self._ids[:r] = ids
        if self._replay is None:
            states, logits = self._call(self._ids)
            return states[:r], logits[:r]
        self._replay()
        assert self._found is not None
        states, logits = self._found  # which the next replay writes over
        return states[:r].clone(), logits[:r].clone()


class Storage:
    """Keys and values of one layer, as long as the largest bucket needs; every bucket is a view of it."""

    def __init__(self, layer: Any, n_places: int) -> None:
        self._shapes = [(each.shape[1], each.shape[3]) for each in (layer.keys, layer.values)]
        self._flat = [
            torch.zeros(n_places * heads * width, dtype=each.dtype, device=each.device)
            for each, (heads, width) in zip((layer.keys, layer.values), self._shapes, strict=True)
        ]

    @property
    def n_bytes(self) -> int:
        return sum(each.nbytes for each in self._flat)

    def views(self, n_rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (R, heads, L, d)."""
        keys, values = (
            flat[: n_rows * heads * length * width].view(n_rows, heads, length, width)
            for flat, (heads, width) in zip(self._flat, self._shapes, strict=True)
        )
        return keys, values


class Room:
    """The steps of one model, made at the first need; None where one does not agree with a cache that grows."""

    def __init__(self) -> None:
        self.owner = threading.current_thread()
        self.steps: dict[tuple[int, int, bool], Step | None] = {}
        self._storage: list[Storage] = []
        self._n_places = 0

    @property
    def n_bytes(self) -> int:
        return sum(each.n_bytes for each in self._storage)

    def step(self, loaded: Loaded, like: Reader, n_rows: int, length: int, compiled: bool) -> Step | None:
        """The step of a bucket, empty; `like` has read something. Raises OutOfMemoryError."""
        key = (n_rows, length, compiled)
        if n_rows * length > self._n_places:
            self.steps, self._storage = {}, []  # before the larger one is made
            self._n_places = n_rows * length
            self._storage = [Storage(layer, self._n_places) for layer in like.cache_layers]
        if key not in self.steps:
            self.steps[key] = self._made(loaded, *key)
        step = self.steps[key]
        if step is not None:
            step.clear()
        return step

    def _made(self, loaded: Loaded, n_rows: int, length: int, compiled: bool) -> Step | None:
        what = f"{loaded.card.name}: a step for {n_rows} rows of {length} tokens{', compiled,' if compiled else ''}"
        try:
            step = Step(loaded, self._storage, n_rows, length, compiled)
            step.clear()
            difference, spread = _difference(loaded, step)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a forward makes of a cache that it does not expect
            log.warning("%s cannot be made (%s): its cache grows as before", what, first_line(error))
            return None
        if not difference <= DISAGREES[loaded.dtype] * spread:
            log.warning("%s is off by %.2g logits (spread %.2g): its cache grows as before", what, difference, spread)
            return None
        log.info("%s was made, within %.1e logits of a cache that grows", what, difference)
        return step


def _difference(loaded: Loaded, step: Step) -> tuple[float, float]:
    """Largest difference of logits from a cache that grows, over a few steps of two rows, and the logits' spread."""
    n = min(2, step.n_rows)
    drawn = np.random.default_rng(0).integers(0, loaded.card.vocab_size, (n, _N_READ + _N_CHECKED))
    ids, reader = torch.from_numpy(drawn).to(loaded.device), Reader(loaded)
    reader.feed(ids[:, :_N_READ])
    fixed = Fixed(step)
    fixed.take(reader, torch.arange(n, device=loaded.device), _N_READ)
    ours, theirs = [], []
    for at in range(_N_READ, ids.shape[1]):
        ours.append(fixed.feed(ids[:, at : at + 1]).states.float())
        theirs.append(reader.read(ids[:, at : at + 1]).float())
    one, other = torch.cat(ours), torch.cat(theirs)
    return float(torch.where(one == other, 0, one - other).abs().max()), float(other[other.isfinite()].std())


class Fixed:
    """Rows that write on in the places of a step; what a decoding asks of a `Reader`."""

    can_roll_back = True

    def __init__(self, step: Step, with_hidden: bool = False) -> None:
        self._step, self._with_hidden = step, with_hidden
        self._n = 0

    def take(self, reader: Reader, rows: torch.Tensor, length: int) -> None:
        """More rows (r,) of a reader, of which the first `length` tokens count; those before have read as many."""
        here = slice(self._n, self._n + len(rows))
        for layer, given in zip(self._step.layers, reader.cache_layers, strict=True):
            layer.keys[here, :, :length] = given.keys[rows, :, :length]
            layer.values[here, :, :length] = given.values[rows, :, :length]
        self._n += len(rows)
        self.crop(length)

    def feed(self, token_ids: torch.Tensor) -> Fed:
        """Read (n, q) tokens; the states that are given are the logits."""
        states, logits = self._step(token_ids)
        return Fed(logits, states[:, :, None] if self._with_hidden else None)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return states

    def crop(self, length: int) -> None:
        """Go on behind the first `length` tokens: what lies behind them is written over before it is seen."""
        self._step.read.fill_(length)


def fixed_for(loaded: Loaded, reader: Reader, n_rows: int, length: int, steps: Steps) -> Fixed | None:
    """Places for so many rows of a reader that has read; None where they decode on the cache that grows.

    That is asked for, or the cache is another than plain attention's, the model makes its logits in a way of its own
    or lies on several devices, or states of other layers than the last are wanted.
    """
    plain = all(type(layer) is RoomyLayer for layer in reader.cache_layers)
    layers = reader.layers in ((), (n_layers(loaded.model),))
    if (
        steps == "dynamic"
        or loaded.n_devices > 1
        or not (reader.cache_layers and plain and layers and reader.reads_at_once)
    ):
        return None
    n_places = next((n for n in ROWS if n >= n_rows), -(-n_rows // ROWS[-1]) * ROWS[-1])
    step = _room(loaded).step(loaded, reader, n_places, -(-length // LENGTH) * LENGTH, steps == "compiled")
    return None if step is None else Fixed(step, bool(reader.layers))


def _room(loaded: Loaded) -> Room:
    """This thread's room; who runs in the break of another decoding has one beside it, and leaves it to the next."""
    rooms, me = loaded.made.setdefault(_ROOM, []), threading.current_thread()
    free = [room for room in rooms if room.owner is me] or [room for room in rooms if not room.owner.is_alive()]
    if not free:
        free = [Room()]
        rooms += free
    free[0].owner = me
    return free[0]


def room_bytes(loaded: Loaded) -> int:
    """What the steps of a model hold, which the next batch takes again."""
    return sum(room.n_bytes for room in loaded.made.get(_ROOM, ()))


def leave_room(loaded: Loaded) -> None:
    """Forget the steps of a model, where memory is scarce."""
    loaded.made.pop(_ROOM, None)
