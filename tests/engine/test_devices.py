"""Which device is meant, and what locks call it."""

from __future__ import annotations

import platform

import pytest
import torch

from memviz.engine.devices import choose_device, devices_beside, place_of
from memviz.errors import Failure
from memviz.settings import Settings


def test_a_gpu_is_chosen_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(choose_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda:0",
        "cuda:0",
        "cuda:1",
        "cpu",
    ]
    with pytest.raises(Failure, match="device cuda:2 is not there: set MEMVIZ_DEVICE to auto or cpu"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Failure, match="device cuda:1 is not there"):
        choose_device("cuda:1")


def test_other_gpus_of_the_same_name_stand_beside_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "B" if device.index == 1 else "A")
    assert [devices_beside(torch.device(name)) for name in ("cuda:0", "cuda:1", "cpu")] == [["cuda:2"], [], []]


def test_locks_tell_devices_and_hosts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs of one machine, and the same GPU's number on two machines that share a cache."""
    here = [place_of(torch.device(name)) for name in ("cpu", "cuda:0", "cuda:1")]
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    there = [place_of(torch.device(name)) for name in ("cpu", "cuda:0", "cuda:1")]
    assert len({*here, *there}) == 6 and there[2] == "cuda-1-elsewhere"


@pytest.mark.parametrize("name", ["cuda:", "cuda:x", "cpu:1", "gpu", "cuda:1/../x"])
def test_other_names_are_no_devices(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        Settings(device=name)
