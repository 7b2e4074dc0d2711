"""From a source to an artifact in the store: graph, gate, manifest."""

from pathlib import Path

from encoders import reference
from encoders.card import Manifest, Precision
from encoders.directory import Source
from encoders.export import build as build_graph
from encoders.fetch import Report
from encoders.gates import PROBES, gate
from encoders.onnx import OnnxEncoder
from encoders.runtime import Device
from encoders.store import MODEL, TOKENIZER, Store, sha256
from encoders.tokenizing import Tokenizer

_COSINE = {Precision.FP32: 0.9999, Precision.FP16: 0.999}
"""The least cosine to the numpy reference, on every probe."""


def build_floats(source: Source, precision: Precision, store: Store, report: Report) -> Path:
    """Build a float32 or float16 artifact and hold it against the numpy reference.

    Raises:
        ModelError: the graph does not do what the reference does.
    """
    report(f"building the {precision} graph of {source.card.name}")
    model = build_graph(source.bert, source.card.pooling, precision)
    unmeasured = manifest_of(source, precision, model, gate={})
    report("holding it against the reference")
    encoder = OnnxEncoder(unmeasured, model, source.tokenizer, device=Device.CPU)
    ids = Tokenizer(source.tokenizer, source.card.max_tokens, source.card.prefix).ids(PROBES)
    expected = reference.encode(source.bert, ids, source.card.pooling)
    measured = gate(encoder.encode(PROBES), expected, cosine=_COSINE[precision])
    return install(store, manifest_of(source, precision, model, measured), model, source.tokenizer, report)


def manifest_of(source: Source, precision: Precision, model: bytes, gate: dict[str, float]) -> Manifest:
    """The manifest of a model that was built from `source`."""
    files = {MODEL: sha256(model), TOKENIZER: sha256(source.tokenizer)}
    return Manifest(source.card, precision, source.digests, files, gate)


def install(store: Store, manifest: Manifest, model: bytes, tokenizer: bytes, report: Report) -> Path:
    """Put a gated artifact into the store."""
    path = store.install(manifest, {MODEL: model, TOKENIZER: tokenizer})
    report(f"{manifest.card.name}@{manifest.version} is ready")
    return path
