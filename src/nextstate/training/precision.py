"""What to compute on: device, number format and threads, decided once and in one place."""

from __future__ import annotations

import ctypes
import functools
import os
import random
from contextlib import AbstractContextManager

import numpy as np
import torch

from nextstate.errors import SettingsError

MASK = 2**63 - 1


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA if there is one, else the processor; raises `SettingsError` for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"--device {name} cannot be used ({reason}); choose cpu, cuda or auto.") from error
    return device


@functools.cache
def has_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products are done in hardware; emulated ones would be slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return False


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto``, ``bf16`` or ``fp32`` to the type in which matrices are multiplied."""
    if name == "auto":
        return torch.bfloat16 if has_bf16(device) else torch.float32
    types = {"bf16": torch.bfloat16, "fp32": torch.float32}
    if name not in types:
        raise SettingsError(f"--precision {name} is unknown; choose auto, bf16 or fp32.")
    return types[name]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; weights, sums and losses stay fp32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def settle_threads(count: int = 0) -> int:
    """Sets how many threads torch computes with, and returns it: `count`, else OMP_NUM_THREADS, else all cores.

    More threads than cores make every parallel loop wait at its barrier and cost a factor of ten, so the count is
    capped at the cores this process may use. Also lets the process keep the memory that it frees.
    """
    keep_freed_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    wanted = count or (int(asked) if asked.isdigit() and int(asked) else cores)
    threads = max(1, min(wanted, cores))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return threads


def keep_freed_memory() -> None:
    """Asks the C library to keep freed memory for the next tensor instead of returning it to the system.

    Every step makes and frees the same tensors, and fresh pages cost a fault each: without them 256 futures of 20
    steps take a quarter less time. Does nothing where the C library is not glibc.
    """
    # Numbers of the parameters in malloc.h; see mallopt(3).
    mmap_threshold, trim_threshold = -3, -1
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)


def make_repeatable(compiled: bool = False) -> None:
    """Asks torch for algorithms that give the same bits each time; warns where there is none.

    Args:
        compiled: whether the compiler is to be asked too.
    """
    if compiled:
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:  # The same without loading the compiler, which takes seconds.
        torch.set_deterministic_debug_mode("warn")
    # Filling fresh memory is a debugging aid that comes along, and costs a pass over every new tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed_step(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The generator of one step, a pure function of seed and step.

    The global generators (torch, numpy, python) are set from the same numbers, so that a layer that uses them
    is repeatable too, and nothing that happens between steps (validation, drawing) can change what is learned.
    """
    drawn = np.random.SeedSequence((seed, step)).generate_state(4, np.uint32)
    own, shared = (int(high) << 32 | int(low) for high, low in drawn.reshape(2, 2))
    # torch.manual_seed would do both, but costs a tenth of a millisecond to prepare for devices nobody uses.
    torch.default_generator.manual_seed(shared & MASK)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(shared & MASK)
    np.random.seed(int(drawn[2]))
    random.seed(shared)
    return torch.Generator(device).manual_seed(own & MASK)
