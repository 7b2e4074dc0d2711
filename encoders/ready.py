"""Ready-made ONNX graphs: checked, then brought to the one shape that `OnnxEncoder` runs.

Taken is what the usual exporters write: int64 `input_ids`, `attention_mask` and perhaps `token_type_ids` in; one
vector per text or one per token out. What comes back has two inputs, pools and normalises inside, and is one file.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
from onnx import TensorProto, helper

from encoders.base import ModelError
from encoders.card import ModelCard
from encoders.directory import describe
from encoders.graph import Graph, serialize
from encoders.pooling import pool
from encoders.store import TOKENIZER, sha256
from encoders.tokenizing import Tokenizer

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_MIN_OPSET = 13
"""`Unsqueeze` takes its axes as an input from here on."""
_TABLE_RANK = 2
_TEXT_RANK, _TOKEN_RANK = 2, 3


def find_graph(path: Path) -> Path | None:
    """The ONNX file that a path stands for: itself, or the only one in a directory or in its folder `onnx`."""
    if path.is_file():
        return path if path.suffix == ".onnx" else None
    for folder in (path, path / "onnx"):
        graphs = sorted(folder.glob("*.onnx"))
        if len(graphs) > 1:
            raise ModelError(f"{folder} holds {', '.join(graph.name for graph in graphs)}: name one of them")
        if graphs:
            return graphs[0]
    return None


def home(graph: Path) -> Path:
    """The model's directory: where the tokenizer is, beside the graph or one level up.

    Raises:
        ModelError: there is none.
    """
    for folder in (graph.parent, graph.parent.parent):
        if (folder / TOKENIZER).is_file():
            return folder
    raise ModelError(f"{graph.parent / TOKENIZER} is missing: put the model's tokenizer beside the graph")


def digests(graph: Path) -> dict[str, str]:
    """SHA-256 of the graph, of its weights where they lie in files of their own, and of the tokenizer.

    Raises:
        ModelError: one is missing, or outside of the graph's directory.
    """
    model = _parse(graph)
    files = [graph, *(graph.parent / name for name in _external(model, graph.parent)), home(graph) / TOKENIZER]
    return {file.name: sha256(file.read_bytes()) for file in files}


def read_ready(graph: Path) -> tuple[ModelCard, bytes, bytes]:
    """Card, adapted graph and tokenizer.

    Raises:
        ModelError: weights outside of the directory, a missing tokenizer or another model's, or inputs and outputs of
            another kind.
    """
    model = _parse(graph)
    if _external(model, graph.parent):
        onnx.external_data_helper.load_external_data_for_model(model, str(graph.parent))
    directory = home(graph)
    card = describe(directory, name=directory.resolve().name, revision=sha256(graph.read_bytes()))
    tokenizer = (directory / TOKENIZER).read_bytes()
    Tokenizer(tokenizer, card.max_tokens, card.prefix).check(_words(model.graph))
    return *adapt(model, card), tokenizer


def adapt(model: onnx.ModelProto, card: ModelCard) -> tuple[ModelCard, bytes]:
    """The card with its dimension, and the graph brought to our shape; `model` is changed in place.

    Raises:
        ModelError: inputs and outputs of another kind.
    """
    dim = _adapt(model, card)
    return msgspec.structs.replace(card, dim=dim), serialize(model)


def _words(graph: onnx.GraphProto) -> int | None:
    """Rows of the table that token ids are looked up in; None where it is not plain to see."""
    tables = {tensor.name: tensor.dims for tensor in graph.initializer}
    ids = {"input_ids"}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in ids:
            ids.add(node.output[0])
        if (
            node.op_type == "Gather"
            and node.input[1] in ids
            and len(rows := tables.get(node.input[0], ())) == _TABLE_RANK
        ):
            return int(rows[0])
    return None


def _parse(graph: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(graph), load_external_data=False)
    except Exception as error:  # protobuf's own exception, of a private module
        raise ModelError(f"{graph} is no ONNX file: {error}") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < _MIN_OPSET:
        raise ModelError(f"{graph.name} is of ONNX opset {opset}; export it with {_MIN_OPSET} or later")
    return model


def _external(model: onnx.ModelProto, folder: Path) -> list[str]:
    """Files beside the graph that hold its weights.

    Raises:
        ModelError: a graph may name any file; one outside of its own directory is refused.
    """
    names = set()
    for tensor in _tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        resolved = (folder / name).resolve()
        if not name or not resolved.is_relative_to(folder.resolve()):
            raise ModelError(f"the graph wants weights from {name!r}, outside of its own directory: refused")
        if not resolved.is_file():
            raise ModelError(f"the graph's weights are missing: {folder / name}")
        names.add(name)
    return sorted(names)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a graph, those of nodes and of graphs inside of nodes included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _adapt(model: onnx.ModelProto, card: ModelCard) -> int:
    """Change the graph in place: (input_ids, attention_mask) → embedding. Returns the dimension."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in stored}
    if not {"input_ids", "attention_mask"} <= inputs.keys() <= _INPUTS:
        raise ModelError(f"the graph's inputs are {', '.join(inputs)}; wanted are {', '.join(sorted(_INPUTS))}")
    output = next((value for value in graph.output if value.type.tensor_type.shape.dim), None)
    shape = list(output.type.tensor_type.shape.dim) if output else []
    if output is None or len(shape) not in (_TEXT_RANK, _TOKEN_RANK) or not shape[-1].dim_value:
        raise ModelError("the graph's first output must be (texts, dim) or (texts, tokens, dim), with a fixed dim")

    if token_types := inputs.get("token_type_ids"):
        graph.input.remove(token_types)
        zeros = helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"], name="upwell/token_types")
        graph.node.insert(0, zeros)
    _rename(graph, output.name, "upwell/output")
    added = Graph(prefix="upwell/")
    floats = added.node("Cast", "upwell/output", to=TensorProto.FLOAT)
    if len(shape) == _TOKEN_RANK:
        mask = added.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        pool(added, floats, mask, card.pooling)
    else:
        added.node("LpNormalization", floats, output="embedding", axis=-1, p=2)
    graph.node.extend(added.nodes)
    graph.initializer.extend(added.constants)
    dim = int(shape[-1].dim_value)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim]))
    return dim


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a value another name, so that `embedding` is free."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
