"""A link's stored trace, drawn while Streamlit starts in the browser: the page that answers brings it along.

Reading alone: a result that is not stored is not drawn here, and nothing is started.
"""

from __future__ import annotations

import html
import json
import re
from collections import OrderedDict
from functools import cache, lru_cache
from pathlib import Path

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from memviz.catalog import find_model, read_card
from memviz.errors import sentence
from memviz.figures.linked import TRACE
from memviz.figures.source import FOLDER
from memviz.settings import settings
from memviz.tasks.base import Context, stored
from memviz.tasks.trace import TraceTask, tokenizer_of
from memviz.tokenizer import Tokenizer
from memviz.ui.common.doors import DOORS
from memviz.ui.common.sign_in import is_wanted

PAGES = ("/", *(f"/{door.name}" for door in DOORS[1:]))
"""Below the first address Streamlit's client would ask the wrong place for its server first."""
OF_FIGURES = ("layers", "causes", "population", "transitions", "boundary", "dynamics", "membership", "predictor")
"""Pages that open on a figure of Plotly's."""
MOVED = {"/sweep": "sweeps"}
"""Old addresses of pages -> the names of today."""
MOST_DRAWN = 32
"""Answers kept, of some hundred kilobytes each."""
_EARLY = FOLDER / "early"
_EARLY_SCRIPT = '<script type="module" src="./early/trace.js"></script>'


@cache
def _index() -> str:
    """Streamlit's own page, which from now on knows where its server is."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")
    return page.replace('<script type="module"', '<script src="./early/boot.js"></script>\n<script type="module"', 1)


@cache
def _figures() -> str:
    """Lets a browser have read Streamlit's code for figures when the first comes; nothing where there is none."""
    code = next((Path(st.__file__).parent / "static" / "static" / "js").glob("PlotlyChart.*.js"), None)
    if code is None:
        return ""
    link = f'<link rel="modulepreload" data-figures href="./static/js/{code.name}">'
    return f'{link}\n<script type="module" src="./early/figures.js"></script>\n'


def _page(request: Request) -> Response:
    """Streamlit's page; with what draws figures, or with a link to a run what draws that run's trace."""
    page, name = _index(), request.url.path.rpartition("/")[2]
    if name in OF_FIGURES:
        page = page.replace("</head>", f"{_figures()}</head>", 1)
    if name == "trace" and re.fullmatch("[0-9a-f]{8,64}", request.query_params.get("run", "")):
        data = html.escape(f"./early/trace.json?{request.url.query}")
        early = f'<link rel="preload" as="fetch" crossorigin href="{data}">\n{_EARLY_SCRIPT}\n</head>'
        page = page.replace("</head>", early, 1)
    return HTMLResponse(page, headers={"cache-control": "no-cache"})


def _moved(request: Request) -> Response:
    """The page's address of today, with the same parameters; relative, for the server may stand behind another one."""
    name, query = MOVED[f"/{request.url.path.rpartition('/')[2]}"], request.url.query
    return Response(status_code=308, headers={"location": f"./{name}?{query}".rstrip("?")})


def _plain(request: Request) -> Response:
    """A script as it stands in its file."""
    name = request.url.path.rpartition("/")[2]
    return Response((_EARLY / name).read_text("utf-8"), media_type="text/javascript")


@cache
def _script() -> str:
    return TRACE.js() + (_EARLY / "early.js").read_text("utf-8").replace("{{STYLE}}", _style())


def _style() -> str:
    return json.dumps((_EARLY / "early.css").read_text("utf-8"))[1:-1]


def _trace_js(_: Request) -> Response:
    return Response(_script(), media_type="text/javascript", headers={"cache-control": "no-cache"})


@lru_cache(maxsize=4)
def _tokenizer(model: str, weights: str) -> Tokenizer:
    """The tokenizer of a prepared model; weights tells one preparation from the next."""
    card = read_card(find_model(model, settings()), settings())
    assert card and card.weights == weights
    return tokenizer_of(card, settings())


def _data(query: dict[str, str]) -> str | None:
    """The linked component's data of a stored run, or None."""
    from memviz.export import linked_view
    from memviz.ui.common.links import find_task
    from memviz.ui.common.process import known_device, store
    from memviz.ui.common.strip import selection

    try:
        task = find_task(TraceTask, query.get("run", ""))
        card = read_card(find_model(task.model, settings()), settings()) if task else None
        context = Context(settings(), store(), find_device=known_device)
        run = stored(task, context, [card]) if task and card else None
    except Exception as error:
        if sentence(error) is None:
            raise
        return None
    if not card or not run:
        return None
    view = {**linked_view(run, _tokenizer(card.name, card.weights)), **selection(query), "css": TRACE.css()}
    return json.dumps(view, allow_nan=False)


_drawn: OrderedDict[tuple[str | None, ...], str] = OrderedDict()
"""What was answered last, by what of the query decides it: many open one link."""


def _drawn_once(query: dict[str, str]) -> str | None:
    key = tuple(query.get(name) for name in ("run", "tok", "mode", "fill"))
    found = _drawn.get(key) or _data(query)
    if found:
        _drawn[key] = found
        if len(_drawn) > MOST_DRAWN:
            _drawn.popitem(last=False)
    return found


async def _trace_json(request: Request) -> Response:
    found = None if is_wanted() else await run_in_threadpool(_drawn_once, dict(request.query_params))
    if found is None:
        return Response(status_code=204)
    return Response(found, media_type="application/json", headers={"cache-control": "no-store"})


ROUTES = [
    *(Route(path, _page) for path in PAGES),
    *(Route(path, _moved) for path in MOVED),
    Route("/early/boot.js", _plain),
    Route("/early/figures.js", _plain),
    Route("/early/trace.js", _trace_js),
    Route("/early/trace.json", _trace_json),
]
