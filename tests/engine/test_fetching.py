"""Fetching from the hub through its own client, from a small server on this machine."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file
from support.hub import Hub, serving
from support.model_folders import write_model

from memviz.catalog import find_model, read_card, twins
from memviz.engine import fetching
from memviz.engine.preparing import add_model, prepare
from memviz.errors import InputError
from memviz.settings import Settings

NAME = "owner/name"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one tiny model; the client keeps what it gets in a folder of the test's own."""
    with serving(Hub()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        running.put(NAME, write_model(tmp_path / "published"))
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", model_roots=())


def add(name: str, settings: Settings, said: list[str] | None = None) -> str:
    return add_model(find_model(name, settings), settings, False, (said if said is not None else []).append).revision


def test_a_model_is_fetched_at_its_commit(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    said: list[str] = []
    assert add(NAME, settings, said) == hub.repos[NAME]["main"]
    size = sum(len(content) for content in hub.files[hub.repos[NAME]["main"]].values())
    assert said[0] == f"fetching {NAME}: {size / 1e6:.1f} MB in {len(hub.files[hub.repos[NAME]['main']])} files"
    card = read_card(find_model(NAME, settings), settings)
    assert card is not None and card.weights == f"{NAME}@{card.revision}"
    fetched, published = (
        load_file(Path(folder, "model.safetensors")) for folder in (card.folder, tmp_path / "published")
    )
    assert all((fetched[name] == published[name]).all() for name in published) and len(fetched) == len(published)
    n_asked = len(hub.asked)
    assert add(NAME, settings, said) == card.revision and len(hub.asked) == n_asked
    assert " of it here already" in said[-1] if said[-1].startswith("fetching") else True


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    first = hub.repos[NAME]["main"]
    second = hub.put(NAME, write_model(tmp_path / "later", rms_norm_eps=0.2), "step2")
    assert add(f"{NAME}@step2", settings) == second != first
    assert add(f"{NAME}@{first}", settings) == first
    assert add(NAME, settings) == first
    hub.repos[NAME]["main"] = second  # the branch moves on
    assert prepare(find_model(NAME, settings), settings).revision == first
    assert add(NAME, settings) == second


def test_equal_weights_are_noticed_and_computed_once(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    """As in Pythia's step branches: other commits, the same weights and configuration."""
    (tmp_path / "published" / "README.md").write_text("another commit")
    hub.put(NAME, tmp_path / "published", "step3")
    hub.put(NAME, write_model(tmp_path / "other", rms_norm_eps=0.2), "step4")
    cards = []
    for revision in ("main", "step3", "step4"):
        add(f"{NAME}@{revision}", settings)
        cards.append(read_card(find_model(f"{NAME}@{revision}", settings), settings))
    first, same, other = cards
    assert first and same and other and len({card.revision for card in cards if card}) == 3
    assert same.weights == first.weights and same.weight_hash == first.weight_hash == other.weight_hash
    assert other.weights != first.weights  # the same files, read by another configuration
    assert same.remarks == [f"its weights are those of {NAME}@main, byte for byte"]
    assert {name for name, _ in twins(first, settings)} == {f"{NAME}@step3", f"{NAME}@step4"}


def test_only_one_set_of_weights_is_fetched(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    extra = {"consolidated_dot_safetensors": b"x" * 10**6, "original__model_dot_safetensors": b"x" * 10**6}
    extra |= {"model_dot_fp16_dot_safetensors": b"x" * 10**6, "pytorch_model_dot_bin": b"x" * 10**6}
    hub.put(NAME, tmp_path / "published", "two", code_dot_py=b"raise SystemExit", **extra)
    add(f"{NAME}@two", settings)
    got = {name for name, _ in hub.asked}
    assert "model.safetensors" in got and "tokenizer.json" in got
    assert not got & {"consolidated.safetensors", "original/model.safetensors", "pytorch_model.bin", "code.py"}
    assert "model.fp16.safetensors" not in got


def test_a_fetch_that_is_cut_off_goes_on(hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    content = hub.files[hub.repos[NAME]["main"]]["model.safetensors"]
    hub.cuts["model.safetensors"] = [1000]
    assert add(NAME, settings) == hub.repos[NAME]["main"]
    ranges = [asked for name, asked in hub.asked if name == "model.safetensors"]
    assert ranges[0] == "" and ranges[1].startswith("bytes=1000-") and len(content) > 1000
    card = read_card(find_model(NAME, settings), settings)
    assert card is not None and Path(card.folder, "model.safetensors").read_bytes() == content


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (401, "GatedRepo"),
            r"^owner/name is gated: accept its terms on https://huggingface\.co/owner/name, then set HF_T",
        ),
        (
            (403, "GatedRepo"),
            r"^owner/name is gated: accept its terms on .* set HF_TOKEN to a token of your account and try",
        ),
        ((401, "RepoNotFound"), r"^owner/name: the hub has no repository owner/name, or it is private or gated: check"),
        ((500, ""), r"^owner/name cannot be fetched from the hub as owner/name@main: "),
    ],
)
def test_a_repository_that_is_closed(
    hub: Hub, settings: Settings, answer: tuple[int, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.closed[NAME] = answer
    with pytest.raises(InputError, match=sentence) as raised:
        add(NAME, settings)
    assert "\n" not in str(raised.value) and not (settings.cache / "cards").exists()


def test_names_that_the_hub_does_not_know(hub: Hub, settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^owner/none: the hub has no repository owner/none, or it is private"):
        add("owner/none", settings)
    with pytest.raises(
        InputError, match=r"^owner/name@v9: owner/name has no revision v9: give a branch, a tag or a com"
    ):
        add(f"{NAME}@v9", settings)


def test_without_network(hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^owner/name is not on this machine: fetch it with `memviz models add owner"):
        prepare(find_model(NAME, settings), settings)
    with pytest.raises(InputError, match="cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again"):
        add(NAME, settings.model_copy(update={"offline": True}))
    assert not hub.asked
    add(NAME, settings)
    shutil.rmtree(settings.cache)  # the card goes, what was fetched stays
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert prepare(find_model(NAME, settings), settings).revision == hub.repos[NAME]["main"]


def test_a_disk_without_room(hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 10**7))
    sentence = (
        r"^owner/name needs \S+ MB more in .*hub-cache, where 30\.0 MB are free: free space, or set HF_HOME to a la"
    )
    with pytest.raises(InputError, match=sentence):
        add(NAME, settings)
    assert not hub.asked


def test_progress_at_a_terminal_has_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    asked = {"unit": "B", "unit_scale": True, "name": "hub", "bar_format": "{desc}: {bar}| {n_fmt:>5}B{postfix:>12}"}
    with fetching._bar()(total=1000, ncols=100, **asked) as bar:
        bar.update(600)
        bar.refresh()
    assert "600/1.00k" in terminal.getvalue() and "B/s]" in terminal.getvalue()


def test_parts_of_weights() -> None:
    names = ["config.json", *(f"model-0000{n}-of-00002.safetensors" for n in (1, 2)), "README.md", "vocab.json"]
    names += ["model.safetensors.index.json", "model-00001-of-00003.bin", "original/x.safetensors"]
    sizes = dict.fromkeys(names, 1)
    wanted = fetching.wanted_files(sizes)
    parts = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert wanted == [*parts, "model.safetensors.index.json", "config.json", "vocab.json"]
    both = fetching.wanted_files(sizes | {"model.safetensors": 1})
    assert "model.safetensors" in both and "model-00001-of-00002.safetensors" not in both
