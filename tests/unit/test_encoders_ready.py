"""Ready-made ONNX graphs: taken in, or refused for a reason."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from encoders.base import ModelError
from encoders.models import load_encoder
from encoders.ready import read_ready
from tests import tinybert

TEXTS = ["red shoe", "blue wool shirt", "tea", ""]
DIM = 4


def write(directory: Path, *, per_token: bool = True, location: str = "", opset: int = 17) -> Path:
    """A graph whose token vectors are rows of a table plus a row for the token type; weights perhaps in a file."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_bytes(tinybert.tokenizer(tinybert.WORDS))
    table = np.random.default_rng(0).normal(size=(len(tinybert.WORDS), DIM)).astype(np.float32)
    weights = onnx.numpy_helper.from_array(table, "table")
    if location:
        onnx.external_data_helper.set_external_data(weights, location)
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        (directory / location).parent.mkdir(exist_ok=True)
        (directory / location).write_bytes(table.tobytes())
    types = onnx.numpy_helper.from_array(np.full((2, DIM), 0.5, np.float32), "types")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["kinds"]),
        helper.make_node("Add", ["words", "kinds"], ["embedding"]),
    ]
    if not per_token:
        nodes[-1].output[0] = "tokens"
        nodes.append(helper.make_node("ReduceMean", ["tokens"], ["embedding"], axes=[1], keepdims=0))
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"]) for name in names]
    shape = ["b", "s", DIM] if per_token else ["b", DIM]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", inputs, [output], [weights, types])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    path = directory / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def expected(text: str) -> np.ndarray:
    table = np.random.default_rng(0).normal(size=(len(tinybert.WORDS), DIM)).astype(np.float32)
    ids = [tinybert.WORDS.index(word) for word in ("[CLS]", *text.split(), "[SEP]")]
    mean = (table[ids] + 0.5).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


@pytest.mark.parametrize("location", ["", "weights.bin"])
def test_token_vectors_are_pooled_and_normalised(tmp_path: Path, location: str) -> None:
    path = write(tmp_path / "mine", location=location)
    encoder = load_encoder(str(path), tmp_path / "cache", build=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), [expected(text) for text in TEXTS], atol=1e-6)
    assert encoder.id.startswith("mine@ready-")
    assert load_encoder(str(path.parent), tmp_path / "cache").id == encoder.id


def test_the_graph_may_lie_in_a_folder_below_its_tokenizer(tmp_path: Path) -> None:
    path = write(tmp_path / "mine" / "onnx")
    (path.parent / "tokenizer.json").rename(tmp_path / "mine" / "tokenizer.json")
    for name in (tmp_path / "mine", path):
        assert load_encoder(str(name), tmp_path / "cache", build=True).id.startswith("mine@ready-")


@pytest.mark.parametrize("location", ["../stolen.bin", "./../stolen.bin"])
def test_weights_outside_of_the_directory_are_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ModelError, match=r"stolen\.bin', outside of its own directory: refused"):
        read_ready(write(tmp_path / "mine", location=location))


def test_weights_through_an_absolute_path_or_a_link_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "stolen.bin"
    with pytest.raises(ModelError, match="refused"):
        read_ready(write(tmp_path / "mine", location=str(outside)))
    path = write(tmp_path / "other", location="link.bin")
    (path.parent / "link.bin").unlink()
    (path.parent / "link.bin").symlink_to(outside)
    with pytest.raises(ModelError, match="refused"):
        read_ready(path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mine", location="weights.bin")
    (path.parent / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights are missing: .*weights\.bin"):
        read_ready(path)


def test_a_vector_that_depends_on_its_batch_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine", per_token=False)
    model = onnx.load(str(path))
    model.graph.node[-1].output[0] = "texts"
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["texts"], ["batch"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["texts", "batch"], ["centred"]),
            helper.make_node("Add", ["centred", "texts"], ["embedding"]),
        ]
    )
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="depends on the texts beside it"):
        load_encoder(str(path), tmp_path / "cache", build=True)


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="opset 11"):
        read_ready(write(tmp_path / "old", opset=11))
    (tmp_path / "old" / "model.onnx").write_bytes(b"no protobuf at all")
    with pytest.raises(ModelError, match="no ONNX file"):
        read_ready(tmp_path / "old" / "model.onnx")
    path = write(tmp_path / "images")
    model = onnx.load(str(path))
    model.graph.input[0].name = "pixels"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="inputs are pixels"):
        read_ready(path)


@pytest.mark.parametrize("value", [0.0, np.nan, 1e30])
def test_a_graph_whose_vectors_have_no_direction_is_refused(tmp_path: Path, value: float) -> None:
    path = write(tmp_path / "mine")
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        same = np.full_like(onnx.numpy_helper.to_array(tensor), value)
        tensor.CopyFrom(onnx.numpy_helper.from_array(same, tensor.name))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"vectors have lengths from .* to .*, not 1"):
        load_encoder(str(path), tmp_path / "cache", build=True)


@pytest.mark.parametrize("words", [tinybert.WORDS[:8], [*tinybert.WORDS, "unheard-of"]])
def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, words: list[str]) -> None:
    path = write(tmp_path / "mine")
    (path.parent / "tokenizer.json").write_bytes(tinybert.tokenizer(words))
    with pytest.raises(ModelError, match=f"wrong tokenizer.*knows {len(words)} tokens, the model has 16"):
        load_encoder(str(path), tmp_path / "cache", build=True)


def test_a_tokenizer_is_tried_where_the_table_is_not_plain_to_see(tmp_path: Path) -> None:
    path = write(tmp_path / "mine")
    model = onnx.load(str(path))
    model.graph.node[0].input[1] = "same"
    model.graph.node.insert(0, helper.make_node("Identity", ["input_ids"], ["same"]))
    path.write_bytes(model.SerializeToString())
    load_encoder(str(path), tmp_path / "cache", build=True)
    (path.parent / "tokenizer.json").write_bytes(tinybert.tokenizer([*tinybert.WORDS, "unheard-of"]))
    with pytest.raises(ModelError, match=r"wrong tokenizer.*knows a token 16, which the model does not"):
        load_encoder(str(path), tmp_path / "cache", build=True)


def test_a_graph_with_fewer_positions_than_stated_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine")
    model = onnx.load(str(path))
    for name, value in (("first", 0), ("last", 1 << 30), ("axis", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), name))
    positions = np.ones((1, 300, DIM), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(positions, "positions"))
    model.graph.node[-1].output[0] = "nowhere"
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["input_ids"], ["shape"]),
            helper.make_node("Slice", ["shape", "axis", "last"], ["length"]),
            helper.make_node("Slice", ["positions", "first", "length", "axis"], ["here"]),
            helper.make_node("Add", ["nowhere", "here"], ["embedding"]),
        ]
    )
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="cannot take 512 tokens: state how many it can as max_seq_length"):
        load_encoder(str(path), tmp_path / "cache", build=True)
    (path.parent / "sentence_bert_config.json").write_text('{"max_seq_length": 300}')
    assert load_encoder(str(path), tmp_path / "cache", build=True).encode(["red " * 400]).shape == (1, DIM)


def test_several_graphs_must_be_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "mine")
    (path.parent / "quantized.onnx").write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match=r"model\.onnx, quantized\.onnx: name one of them"):
        load_encoder(str(path.parent), tmp_path / "cache", build=True)


def test_a_graph_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "b" / "mine")
    (path.parent / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        load_encoder(str(path), tmp_path / "cache", build=True)
