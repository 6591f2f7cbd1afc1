"""Reads tensors out of an old checkpoint as data: nothing in it is ever run.

Such files are pickles, which may do whatever they like when they are loaded. Here their instructions are only listed,
and the few that lay out a mapping of tensors are followed; anything else is refused.
"""

from __future__ import annotations

import pickletools
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import CheckpointError

TYPES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}

PLAIN = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "NONE", "NEWTRUE", "NEWFALSE",
}  # fmt: skip
"""Instructions that put a plain value on the stack."""

_MARK = object()


def read_legacy(path: Path) -> dict[str, Tensor]:
    """Name -> tensor of a mapping that torch saved before version 1.6.

    Raises `CheckpointError` when the file is missing, damaged, or holds more than tensors.
    """
    try:
        with path.open("rb") as file:
            for _ in range(3):  # Magic number, version, facts about the machine.
                _laid_out(file)
            mapping, keys = _laid_out(file), _laid_out(file)
            storages = {}
            kinds = {tensor[0][2]: tensor[0][1] for tensor in mapping.values()}
            for key in keys:
                (count,) = struct.unpack("<q", file.read(8))
                kind = TYPES[kinds[key]]
                storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
        return {name: _tensor(storages, *arguments) for name, arguments in mapping.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of plain tensors ({error}); install its package again."
        ) from error


def _tensor(storages: dict[str, np.ndarray], stored: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    values = torch.from_numpy(storages[stored[2]].copy())
    return values.as_strided(tuple(size), tuple(stride), offset).clone()


def _laid_out(file: IO[bytes]) -> Any:
    """What one pickle describes, of numbers, texts, tuples, lists, mappings and tensors."""
    stack: list[Any] = []
    memory: dict[Any, Any] = {}
    for instruction, argument, _ in pickletools.genops(file):
        name = instruction.name
        if name in PLAIN:
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(name, argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memory[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memory[argument])
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
        elif name == "TUPLE":
            stack.append(tuple(_to_mark(stack)))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEM", "SETITEMS"):
            pairs = _to_mark(stack) if name == "SETITEMS" else [stack.pop() for _ in range(2)][::-1]
            stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            values = _to_mark(stack) if name == "APPENDS" else [stack.pop()]
            stack[-1].extend(values)
        elif name == "BINPERSID":
            stack.append(stack.pop())
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_made(function, arguments))
        elif name == "BUILD":
            stack.pop()  # Notes of modules about their versions.
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            raise ValueError(f"it asks for {name}")
    raise ValueError("it ends early")


class _Name(str):
    """Of something in a module; never looked up."""


def _made(function: Any, arguments: Any) -> Any:
    if function == "collections OrderedDict":
        return dict(*arguments)
    if function == "torch._utils _rebuild_tensor_v2":
        return arguments
    raise ValueError(f"it wants to call {function}")


def _to_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - stack[::-1].index(_MARK)
    values = stack[place + 1 :]
    del stack[place:]
    return values
