"""Examining a model: causality and agreement by what it says of tokens, never by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.model_folders import VOCAB, write_model
from support.tiny_models import plain_generate, tiny
from transformers import BambaConfig, BertConfig, BertForMaskedLM, LlamaForCausalLM, PreTrainedModel

from memviz.catalog import find_model, read_card
from memviz.engine import examination, preparing
from memviz.engine.backend import Backend
from memviz.engine.examination import FORWARD_FAILS, SEES_LATER, Finding, Refused, examine, with_finding
from memviz.engine.loading import Loaded
from memviz.engine.preparing import prepare
from memviz.engine.reader import Reader
from memviz.engine.tracing import trace
from memviz.errors import InputError
from memviz.measures.causes import ADD_UP, APART, NONE
from memviz.records import Decoding, Prompts
from memviz.settings import Settings
from memviz.tasks.causes import HeadsTask


def spread(model: PreTrainedModel) -> PreTrainedModel:
    """Random weights large enough to have preferences."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def loaded_as(model: PreTrainedModel, name: str) -> Loaded:
    card = replace(tiny("llama").card, name=name, vocab_size=96, n_positions=128)
    return Loaded(model, card, "float32", torch.device("cpu"))


class Peeking(LlamaForCausalLM):
    """A causal model by name whose output mixes in a little of the next position, as wrong masks do."""

    share = 0.05

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits + self.share * output.logits.roll(-1, dims=1)
        return output


class Forgetful(LlamaForCausalLM):
    """A model whose cache is not what it should be."""

    fails = False

    def forward(self, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        if past_key_values is not None and past_key_values.get_seq_length() and self.fails:
            raise RuntimeError("sizes of tensors must match")
        cut = past_key_values is not None and past_key_values.get_seq_length() > 0
        output = super().forward(*args, past_key_values=past_key_values, **kwargs)
        if cut:
            output.logits = output.logits.flip(-1)
        return output


def of_class(kind: type[LlamaForCausalLM]) -> Loaded:
    base = tiny("llama")
    model = kind(base.model.config).eval().requires_grad_(False)
    model.load_state_dict(base.model.state_dict())
    return replace(base, model=model)


def test_a_healthy_model(family: Loaded) -> None:
    found = Finding(**examine(family))
    assert found.way == "cache" and found.later == 0 and found.remark() is None and found.heads == ADD_UP
    assert 0 < found.noise < 1e-3 * found.spread and with_finding(family.card, vars(found)).remarks == []


class Bent(torch.nn.Linear):
    """An output projection after which heads are no sum."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return super().forward(given).tanh()


def test_heads_that_do_not_add_up_are_kept_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    bent = of_class(LlamaForCausalLM)
    for layer in bent.model.model.layers:
        layer.self_attn.o_proj.__class__ = Bent
    task = HeadsTask("tiny", (7, 8, 9), 0, (10, 11), "float32")
    found = examine(bent)
    card = with_finding(bent.card, found)
    with pytest.raises(InputError, match=r"^the attention heads of .* do not add up to what"):
        task.check([card])
    task.check([replace(card, examination={name: value for name, value in found.items() if name != "heads"})])
    monkeypatch.setattr(examination, "find_blocks", lambda model, dtype: [])
    assert (found["heads"], examine(bent)["heads"]) == (APART, NONE)
    with pytest.raises(InputError, match="has no attention heads that memviz can find, so none can be silenced"):
        task.check([with_finding(bent.card, examine(bent))])


def test_a_model_that_sees_later_tokens_is_refused_whatever_it_is_called() -> None:
    bert = BertConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    for loaded in (loaded_as(spread(BertForMaskedLM(bert)), "fine-causal-lm"), of_class(Peeking)):
        with pytest.raises(
            Refused, match=rf"^{loaded.card.name} sees later tokens: other tokens behind a position move"
        ):
            examine(loaded)
    decoder = BertConfig(**{**bert.to_dict(), "is_decoder": True})
    assert examine(loaded_as(spread(BertForMaskedLM(decoder).train(False)), "decoder"))["later"] == 0


@pytest.mark.parametrize("fails", [False, True])
def test_a_model_whose_cache_is_wrong_is_read_whole(fails: bool) -> None:
    loaded = of_class(Forgetful)
    Forgetful.fails = fails
    found = Finding(**examine(loaded))
    assert found.way == "whole" and (found.stepwise is None) == fails
    assert "whole rows are read again at every token: right, and slow" in str(found.remark())
    loaded.model.config.use_cache = False  # as loading does
    try:
        ids = torch.arange(10, 30)[None]
        traced = trace(loaded, Prompts(ids.numpy(), None), 12, Decoding(), 0.0)
        expected = plain_generate(tiny("llama"), ids, 12)
        assert traced.generated_ids.tolist() == expected.tolist()
    finally:
        loaded.model.config.use_cache = True


def test_positions_are_given_to_forwards_that_take_them() -> None:
    """Bamba counts from 0 at every block unless told."""
    config = BambaConfig(
        vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, attn_layer_indices=[1],
        max_position_embeddings=128,
    )  # fmt: skip
    from transformers import BambaForCausalLM

    loaded = loaded_as(spread(BambaForCausalLM(config)), "bamba")
    assert Finding(**examine(loaded)).way == "cache"
    ids = torch.arange(5, 25)[None]
    found = trace(loaded, Prompts(ids.numpy(), None), 24, Decoding(), 0.0).generated_ids
    assert found.tolist() == plain_generate(loaded, ids, 24).tolist()


def test_noise_that_no_healthy_model_has_is_remarked() -> None:
    found = Finding("cache", "float32", "cpu", 2.0, 0.0, 0.01, 0.0, 1e-5)
    assert "one pass and single steps differ by up to 0.01 logits" in str(found.remark())
    assert replace(found, stepwise=1e-4).remark() is None and replace(found, dtype="bfloat16").remark() is None


def test_a_forward_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no pixels")

    loaded = tiny("llama")
    monkeypatch.setattr(Reader, "feed", refuse)
    with pytest.raises(
        Refused, match=r"^llama cannot be read: transformers' own forward fails on it \(no pixels\)$"
    ) as e:
        examine(loaded)
    assert e.value.reason == FORWARD_FAILS != SEES_LATER


def test_a_model_that_does_not_fit_is_examined_when_it_is_first_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",))
    write_model(tmp_path / "models" / "m")
    model, said = find_model("m", settings), []
    monkeypatch.setattr(preparing, "free_memory", lambda _: 1000)
    card = prepare(model, settings, said.append)
    assert card.examination is None and said[-1].startswith(
        "m does not fit into memory in float32: it is examined when"
    )
    backend = Backend(settings)
    loaded = backend.load(card, "bfloat16")
    assert loaded.card.examination is not None and loaded.card.examination["dtype"] == "bfloat16"
    kept = read_card(model, settings)
    assert kept == loaded.card and backend.load(kept, "bfloat16").model is loaded.model
    assert len(loaded.model.get_input_embeddings().weight) == VOCAB + 40
