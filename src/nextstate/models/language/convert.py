"""Reading what packages ship: a quantised language model as GGUF, and a picture network saved by torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from nextstate.models.language.words import missing
from nextstate.models.legacy import read_legacy
from nextstate.models.lite import Trunk

VERSION = 2
"""Of what is written; raise it when older conversions no longer fit."""

BLOCK_NAMES = {
    "attn_norm": "attention_norm",
    "ffn_norm": "unit_norm",
    "attn_q": "queries",
    "attn_k": "keys",
    "attn_v": "values",
    "attn_output": "out",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
"""Of GGUF -> of `Llama`."""

BERT_NAMES = {
    "attention.self.": "",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm_out",
    "intermediate.dense": "think",
    "output.dense": "conclude",
    "output.LayerNorm": "norm",
    "encoder.layer": "layers",
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
}
"""Of Hugging Face's BERT -> of `Bert`."""

PIECES = "tokenizer.json"


def read_gguf(path: Path, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a `Llama` in bf16, its sizes, and beside them its vocabulary as ``tokenizer.json``.

    Raises:
        MissingExtraError: without the packages that read it.
    """
    try:
        from gguf import GGUFReader
        from gguf.quants import dequantize
    except ImportError as error:
        raise missing("gguf") from error
    reader = GGUFReader(path)
    facts: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
    shape = {
        "width": facts["llama.embedding_length"],
        "layers": facts["llama.block_count"],
        "heads": facts["llama.attention.head_count"],
        "groups": facts["llama.attention.head_count_kv"],
        "hidden": facts["llama.feed_forward_length"],
        "vocabulary": facts["llama.vocab_size"],
        "base": facts["llama.rope.freq_base"],
        "eps": facts["llama.attention.layer_norm_rms_epsilon"],
    }
    weights = {}
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), np.float32)
        heads = {"attn_q": shape["heads"], "attn_k": shape["groups"]}
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = unpaired(values, heads[part])
        weights[_renamed(tensor.name)] = torch.from_numpy(values).bfloat16()
    _write_pieces(facts, folder / PIECES)
    return weights, {"shape": shape, "end": facts["tokenizer.ggml.eos_token_id"]}


def unpaired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head, from pairs that turn together (a0, b0, a1, b1, ...) to halves (a0, a1, ..., b0, b1, ...)."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _renamed(name: str) -> str:
    if name.startswith("blk."):
        _, number, part, _ = name.split(".")
        return f"blocks.{number}.{BLOCK_NAMES[part]}.weight"
    return {"token_embd.weight": "embed.weight", "output_norm.weight": "norm.weight"}[name]


def _write_pieces(facts: Mapping[str, Any], path: Path) -> None:
    """The byte-pair vocabulary in the format of `tokenizers`: digits alone, then bytes, then pairs."""
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    special = [
        {"id": i, "content": token, "special": True, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == 3
    ]
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    model = {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}}
    model |= {"merges": [merge.split(" ") for merge in facts["tokenizer.ggml.merges"]]}
    made = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, by_bytes]},
        "decoder": by_bytes,
        "model": model,
    }
    path.write_text(json.dumps(made), encoding="utf-8")


def read_lite0(path: Path, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a `Trunk`.

    The file is a pickle, out of which tensors are read as data: nothing in it is run.
    """
    trunk = Trunk()
    trunk.fill(read_legacy(path))
    return {name: weight.contiguous() for name, weight in trunk.state_dict().items()}, {}


def read_minilm(path: Path, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a `Bert` in half precision, and beside them its vocabulary as ``tokenizer.json``."""
    found = {}
    for name, values in load_file(path).items():
        if name.startswith("pooler") or name.endswith("position_ids"):
            continue
        for theirs, ours in BERT_NAMES.items():
            name = name.replace(theirs, ours)
        found[name] = values.half()
    (folder / PIECES).write_bytes((path.parent / PIECES).read_bytes())
    return found, {}
