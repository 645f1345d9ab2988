"""Linked results as one file, for the store of another machine with the same models."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memviz import disk
from memviz.errors import InputError
from memviz.store import Store, request_hash
from memviz.store.files import decode, encode
from memviz.store.keys import HASH
from memviz.tasks.base import Context, Task, key_of, task_from
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import lens_of
from memviz.tasks.trace import TraceTask

FORMAT = 1
ABOUT = "about.json"
MOST_ABOUT = 2**26
"""Bytes of requests and provenance."""


def carry(names: Iterable[str], context: Context, out: Path) -> int:
    """Write the requests of links, by hash or its first characters, and all that is stored of them; how many results.

    Raises InputError for a link that is unknown, or of which nothing is stored, Failure where the file cannot be made.
    """
    requests: dict[str, Any] = {}
    found: dict[str, tuple[bytes, Any]] = {}
    for name in names:
        request = context.store.get_request(name)
        if request is None:
            raise InputError(f"no request is called {name[:64]!r}: see `memviz store list`")
        before = len(found)
        for task in _with_parts(task_from(request)):
            key = key_of(task, context)
            stored = context.store.get(key) if key else None
            if key and stored is not None:
                requests[task.hash] = task.request()
                found[key] = encode(stored[0]), stored[1]
        requests[request_hash(request)] = request
        if len(found) == before:
            raise InputError(
                f"nothing is stored of {name[:16]}: run it first; the folder of a sweep or a fit is copied as it is"
            )
    about = {"format": FORMAT, "requests": requests, "results": {key: meta for key, (_, meta) in found.items()}}
    with disk.new_file(out) as new, zipfile.ZipFile(new, "w") as file:
        file.writestr(ABOUT, json.dumps(about))
        for key, (content, _) in found.items():
            file.writestr(f"{key}.safetensors", content)
    return len(found)


def _with_parts(task: Task[Any]) -> Iterator[Task[Any]]:
    """A task, or those that a comparison consists of; with every trace the reading of its layers."""
    for part in task.tasks if isinstance(task, LadderTask) else (task,):
        yield part
        if isinstance(part, TraceTask) and part.continuation_ids is not None:
            yield lens_of(part)


def bring(path: Path, store: Store) -> tuple[list[str], int]:
    """Put what a file of `carry` holds into a store: hashes of its requests, and how many results.

    A result is believed to be what its key says, as a store believes itself: take files from those you trust. Raises
    InputError for another file, Failure.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if file.getinfo(ABOUT).file_size > MOST_ABOUT:
                raise InputError(f"{path} says more of itself than any export does: it is none")
            about = json.loads(file.read(ABOUT))
            requests, results = _checked(path, about)
            for key, meta in results.items():
                if file.getinfo(f"{key}.safetensors").file_size > store.limit:
                    raise InputError(f"{path} holds a result larger than this store: raise MEMVIZ_CACHE_LIMIT")
                store.put(key, decode(file.read(f"{key}.safetensors")), meta)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, NotImplementedError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no file of `memviz store export` ({error})") from None
    for name, request in requests.items():
        store.put_request(name, request)
    return list(requests), len(results)


def _checked(path: Path, about: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Requests and results by hash and key. Raises InputError, KeyError, TypeError."""
    if about["format"] != FORMAT:
        raise InputError(f"{path} is of format {about['format']!r:.20}, this memviz reads {FORMAT}: update it")
    requests, results = dict(about["requests"]), dict(about["results"])
    if any(request_hash(request) != name for name, request in requests.items()):
        raise InputError(f"{path} was changed: a request does not have its own name")
    for key in results:
        if not HASH.fullmatch(key):
            raise InputError(f"{path} names a result {key!r:.40}, which is no key")
    for request in requests.values():
        task_from(request)
    return requests, results
