"""A BERT with random weights and twenty words, in Hugging Face's layout: small enough to build in milliseconds."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WIDTH, HEADS, INNER, LAYERS, TOKENS = 16, 2, 32, 2, 12
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, "red", "blue", "shoe", "shirt", "milk", "bread", "cup", "lamp", "wool", "oak", "tea", "pan"]


def write(directory: Path, *, tokenizer_words: list[str] = WORDS, seed: int = 0, **config: Any) -> Path:
    """Write `config.json`, `model.safetensors` and `tokenizer.json`; `config` overrides fields."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    } | config
    (directory / "config.json").write_text(json.dumps(settings))
    (directory / "model.safetensors").write_bytes(safetensors(tensors(seed)))
    (directory / "tokenizer.json").write_bytes(tokenizer(tokenizer_words))
    return directory


def tensors(seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Random weights under Hugging Face's names, PyTorch's orientation: (out, in)."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (TOKENS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, size_in, size_out in (
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", WIDTH, INNER),
            ("output.dense", INNER, WIDTH),
        ):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (size_out, size_in)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (size_out,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shapes[f"encoder.layer.{layer}.{name}.bias"] = (WIDTH,)
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    header, data = {}, b""
    for name, array in arrays.items():
        raw = array.tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def tokenizer(words: list[str]) -> bytes:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", words.index("[CLS]")), ("[SEP]", words.index("[SEP]"))]
    )
    text: str = made.to_str()
    return text.encode()
