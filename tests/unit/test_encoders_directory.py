"""Any Hugging Face BERT by path: built, held against the reference, or refused with a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders import reference
from encoders.base import ModelError
from encoders.card import Pooling
from encoders.directory import read_directory
from encoders.models import build_model, load_encoder
from encoders.safetensors import read_safetensors
from encoders.tokenizing import Tokenizer
from tests import tinybert

TEXTS = ["red shoe", "blue wool shirt", "tea", "", "oak lamp red red cup pan milk bread tea wool"]


def silent(step: str) -> None:
    """A report that nobody reads."""


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({}, Pooling.MEAN),
        ({}, Pooling.CLS),
        ({"model_type": "xlm-roberta", "pad_token_id": 1}, Pooling.MEAN),
    ],
)
def test_a_directory_is_built_as_its_files_say(tmp_path: Path, config: dict[str, Any], pooling: Pooling) -> None:
    directory = tinybert.write(tmp_path / "tiny", **config)
    (directory / "1_Pooling").mkdir()
    modes = {"pooling_mode_cls_token": pooling is Pooling.CLS, "pooling_mode_mean_tokens": pooling is Pooling.MEAN}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    (directory / "README.md").write_text("---\nlicense: cc0-1.0\n---\nA tiny model.\n")
    encoder = load_encoder(str(directory), tmp_path / "cache", build=True)

    source = read_directory(directory)
    ids = Tokenizer(source.tokenizer, source.card.max_tokens).ids(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), reference.encode(source.bert, ids, pooling), atol=1e-5)
    assert encoder.id.startswith("tiny@fp32-")
    assert source.card.licence == "cc0-1.0"
    # RoBERTa's first positions belong to padding, so fewer are left for text.
    assert source.card.max_tokens == tinybert.TOKENS - (2 if config else 0)


def test_the_prefix_of_the_default_prompt_is_put_before_every_text(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    plain = load_encoder(str(directory), tmp_path / "plain", build=True)
    prompts = {"prompts": {"query": "red "}, "default_prompt_name": "query"}
    (directory / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    prefixed = load_encoder(str(directory), tmp_path / "prefixed", build=True)
    np.testing.assert_array_equal(prefixed.encode(["shoe"]), plain.encode(["red shoe"]))
    assert prefixed.id != plain.id


def test_layers_can_be_dropped(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    path = build_model(str(directory), tmp_path / "cache", silent, layers=[1])
    encoder = load_encoder("tiny-1l", tmp_path / "cache")
    assert path.parent.name == "tiny-1l"

    source = read_directory(directory)
    ids = Tokenizer(source.tokenizer, source.card.max_tokens).ids(TEXTS)
    expected = reference.encode(source.bert.keep([1]), ids, Pooling.MEAN)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("layers", [[], [0, 0], [2], [-1]])
def test_layers_that_are_not_there_are_refused(tmp_path: Path, layers: list[int]) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    with pytest.raises(ModelError, match="cannot keep layers"):
        build_model(str(directory), tmp_path / "cache", silent, layers=layers)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*tinybert.WORDS, "unheard-of"], "knows 17 tokens, the model has 16"),
        (tinybert.WORDS[:8], "knows 8 tokens, the model has 16"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    directory = tinybert.write(tmp_path / "tiny", tokenizer_words=words)
    with pytest.raises(ModelError, match=f"wrong tokenizer.*{told}"):
        read_directory(directory)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"model_type": ["bert"]}, r"model_type \['bert'\]"),
        ({"num_hidden_layers": 3}, r"encoder\.layer\.2.* is missing"),
        ({"num_attention_heads": 3}, "3 heads"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, wanted a whole number of 1 or more"),
        ({"num_attention_heads": 1.5}, r"num_attention_heads is 1\.5"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": None}, "num_hidden_layers is None"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1"),
        ({"layer_norm_eps": None}, "layer_norm_eps is None"),
        ({"model_type": "roberta", "pad_token_id": -5}, "pad_token_id is -5"),
        ({"model_type": "roberta", "pad_token_id": 11}, "no positions are left behind the first 12"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    directory = tinybert.write(tmp_path / "tiny", **config)
    with pytest.raises(ModelError, match=told):
        read_directory(directory)


def test_unknown_pooling_and_modules_are_refused(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    (directory / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ModelError, match="Dense"):
        read_directory(directory)
    (directory / "modules.json").unlink()
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ModelError, match="max_tokens"):
        read_directory(directory)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("1_Pooling/config.json", {"pooling_mode_lasttoken": True}, "pools by lasttoken"),
        ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "pools by weightedmean_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "pools by nothing"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pools by max"),
        ("modules.json", ["Dense"], "is no list of modules"),
        ("modules.json", [{"type": "Dense"}], "has a Dense module"),
        ("sentence_bert_config.json", {"max_seq_length": "x"}, "max_seq_length is 'x'"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length is 0"),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "takes 2 tokens, which special tokens"),
        ("tokenizer_config.json", {"model_max_length": []}, r"model_max_length is \[\]"),
        ("config_sentence_transformers.json", {"prompts": "q", "default_prompt_name": "q"}, "default prompt is 'q'"),
        ("config_sentence_transformers.json", {"prompts": {"q": None}, "default_prompt_name": "q"}, "no such text"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"q": "red " * 12}, "default_prompt_name": "q"},
            "no text has room",
        ),
    ],
)
def test_small_files_that_cannot_be_followed_are_refused(tmp_path: Path, name: str, content: Any, told: str) -> None:
    path = tinybert.write(tmp_path / "tiny") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=told):
        read_directory(tmp_path / "tiny")


def test_a_prompt_that_pooling_leaves_out_is_refused(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    prompts = {"prompts": {"query": "red "}, "default_prompt_name": "query"}
    (directory / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true, "include_prompt": false}')
    with pytest.raises(ModelError, match="include_prompt"):
        read_directory(directory)


@pytest.mark.parametrize(
    ("content", "pooling"),
    [({}, Pooling.MEAN), ({"pooling_mode": "mean"}, Pooling.MEAN), ({"pooling_mode": "cls"}, Pooling.CLS)],
)
def test_pooling_may_be_stated_in_one_word_or_not_at_all(
    tmp_path: Path, content: dict[str, str], pooling: Pooling
) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(content))
    (directory / "tokenizer_config.json").write_text('{"model_max_length": null}')
    assert read_directory(directory).card.pooling is pooling


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("embeddings.word_embeddings.weight", np.ones(16), r"has the shape \(16,\), wanted \(any, any\)"),
        ("embeddings.position_embeddings.weight", np.ones((12, 8)), r"has the shape \(12, 8\), wanted \(any, 16\)"),
        ("embeddings.token_type_embeddings.weight", np.ones((0, 16)), r"has the shape \(0, 16\)"),
        ("embeddings.LayerNorm.weight", np.ones(8), r"has the shape \(8,\), wanted \(16\)"),
        ("encoder.layer.0.attention.self.query.weight", np.ones((8, 16)), r"wanted \(16, 16\)"),
        ("encoder.layer.1.output.dense.weight", np.ones((16, 31)), r"wanted \(16, 32\)"),
        ("encoder.layer.0.intermediate.dense.bias", np.ones(7), r"wanted \(32\)"),
        ("encoder.layer.0.output.dense.bias", np.full(16, np.nan), "no finite numbers"),
    ],
)
def test_weights_that_do_not_fit_each_other_are_named(tmp_path: Path, name: str, array: Any, told: str) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    weights = tinybert.safetensors(tinybert.tensors(0) | {name: array.astype(np.float32)})
    (directory / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=f"{name} .*{told}"):
        read_directory(directory)


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    nested = b"[" * 100_000
    (directory / "model.safetensors").write_bytes(len(nested).to_bytes(8, "little") + nested)
    with pytest.raises(ModelError, match="not a sound safetensors file"):
        read_directory(directory)
    (directory / "config.json").write_bytes(nested)
    with pytest.raises(ModelError, match="is not JSON"):
        read_directory(directory)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    (directory / name).unlink()
    with pytest.raises(ModelError, match=name):
        read_directory(directory)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"{" * 40 + data[48:],
        lambda data: data[:-40],
    ],
    ids=["empty", "header-too-long", "header-no-json", "cut-off"],
)
def test_damaged_weights_are_refused(tmp_path: Path, damage: Any) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    weights = directory / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ModelError, match="safetensors"):
        read_directory(directory)


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.0], np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw)
    np.testing.assert_array_equal(read_safetensors(path)["x"], values)
