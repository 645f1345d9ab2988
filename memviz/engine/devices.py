"""Where models run: the device chosen at run time, its name and its free memory."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil
import torch

from memviz.errors import Failure


def choose_device(wanted: str) -> torch.device:
    """The device of a setting, such as cuda:1; "auto" takes cuda, then mps, then cpu. Raises Failure: not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    kind, _, number = wanted.partition(":")
    if not present[kind] or int(number or 0) >= max(1, torch.cuda.device_count()):
        raise Failure(f"device {wanted} is not there: set MEMVIZ_DEVICE to auto or cpu")
    return torch.device(kind, int(number or 0)) if kind == "cuda" else torch.device(kind)


def place_of(device: torch.device) -> str:
    """What a lock calls a device: by its number and this host, for caches may be shared between machines."""
    return f"{str(device).replace(':', '-')}-{platform.node() or 'host'}"


def device_name(device: torch.device) -> str:
    """A device in words, a GPU by its name."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def devices_beside(device: torch.device) -> list[str]:
    """The other GPUs of the same name: results of half precision are kept under it."""
    if device.type != "cuda":
        return []
    all_of_them = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    return [str(each) for each in all_of_them if each != device and device_name(each) == device_name(device)]


def use_exact_float32(n_spare_cores: int = 0) -> None:
    """Switch off every silent rounding of float32 (TF32, bf16 passes), and leave so many cores to others.

    Whoever sets OMP_NUM_THREADS has said how many threads there shall be.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, n_cores - n_spare_cores))


def _cgroup_free(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes left under the memory limit of the control group (v2, then v1), None where there is none."""
    for limit_name, usage_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit = (root / limit_name).read_text().strip()
            if limit != "max" and int(limit) < 2**60:
                return max(0, int(limit) - int((root / usage_name).read_text()))
        except (OSError, ValueError):
            continue
    return None


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on a device: for cpu the smaller of the cgroup's rest and what is available."""
    if device.type == "cuda":
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    available = psutil.virtual_memory().available
    if device.type == "mps":
        available = min(available, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    rest = _cgroup_free()
    return available if rest is None else min(available, rest)
