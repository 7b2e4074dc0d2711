"""Models of other architectures: exported, held against what they are in PyTorch, or refused for a reason.

PyTorch itself is too large for the tests; a model of tokens that is made of numpy stands in for it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from encoders import torchexport
from encoders.base import MissingRuntimeError, ModelError
from encoders.models import build_model, load_encoder
from tests import tinybert
from tests.unit.test_encoders_ready import DIM, TEXTS, expected, write


class Stand:
    """Token vectors are rows of a table, as in the graph of `test_encoders_ready`."""

    words = len(tinybert.WORDS)

    def __init__(self, graph: Path, tokens: int = 512) -> None:
        self._graph = graph
        self._tokens = tokens
        self.shift = 0.5
        """What is added to every vector; the graph adds a half."""

    def hidden(self, ids: Sequence[int]) -> np.ndarray:
        if len(ids) > self._tokens:
            raise ModelError(f"it cannot take {len(ids)} tokens")
        table = np.random.default_rng(0).normal(size=(self.words, DIM)).astype(np.float32)
        return np.asarray(table[list(ids)] + self.shift, np.float32)

    def graph(self) -> onnx.ModelProto:
        return onnx.load(str(self._graph))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tinybert.write(tmp_path / "other", model_type="distilbert")


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(write(tmp_path / "graph"))
    monkeypatch.setattr(torchexport, "load", lambda directory: made)
    return made


def test_another_architecture_is_exported_and_found_again(directory: Path, stand: Stand, tmp_path: Path) -> None:
    encoder = load_encoder(str(directory), tmp_path / "cache", build=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), [expected(text) for text in TEXTS], atol=1e-6)
    assert encoder.id.startswith("other@fp32-")
    assert load_encoder(f"{directory}@fp32", tmp_path / "cache").id == encoder.id


def test_a_graph_that_gives_other_vectors_is_refused(directory: Path, stand: Stand, tmp_path: Path) -> None:
    stand.shift = 0.7
    with pytest.raises(ModelError, match="parity with the reference is lost"):
        build_model(str(directory), tmp_path / "cache", print)
    assert not list((tmp_path / "cache").rglob("manifest.json"))


def test_a_model_is_tried_with_as_many_tokens_as_it_says(directory: Path, stand: Stand, tmp_path: Path) -> None:
    stand._tokens = 300
    with pytest.raises(ModelError, match="cannot take 512 tokens"):
        build_model(str(directory), tmp_path / "cache", print)
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 300}))
    assert build_model(str(directory), tmp_path / "cache", print).parent.name == "other"


def test_a_tokenizer_of_another_model_is_refused(directory: Path, stand: Stand, tmp_path: Path) -> None:
    stand.words = 30
    with pytest.raises(ModelError, match="wrong tokenizer"):
        build_model(str(directory), tmp_path / "cache", print)


def test_only_a_bert_is_quantised_or_pruned(directory: Path, stand: Stand, tmp_path: Path) -> None:
    for precision in ("fp16", "int8"):
        with pytest.raises(ModelError, match=r"model_type 'distilbert'.* in fp32 and with all layers"):
            build_model(f"{directory}@{precision}", tmp_path / "cache", print)
    with pytest.raises(ModelError, match="with all layers"):
        build_model(str(directory), tmp_path / "cache", print, layers=[0])


def test_without_pytorch_it_says_what_to_install(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingRuntimeError, match=r"other has model_type .*install upwell\[export\]"):
        build_model(str(directory), tmp_path / "cache", print)
