"""From a source to an artifact in the store: graph, gate, manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders import export, ready, reference, torchexport
from encoders.base import ModelError
from encoders.bridge import Bridge, cross, span
from encoders.card import Manifest, ModelCard, Precision
from encoders.directory import WEIGHTS, Source, describe, digests
from encoders.fetch import Report
from encoders.gates import PROBES, Limits, check_company, check_lengths, gate
from encoders.onnx import OnnxEncoder
from encoders.quantize import quantize
from encoders.runtime import ON_CPU
from encoders.store import MODEL, TOKENIZER, Store, sha256
from encoders.tokenizing import Tokenizer

LIMITS = {
    Precision.FP32: Limits(cosine_min=0.9999),
    Precision.FP16: Limits(cosine_min=0.999),
    Precision.INT8: Limits(cosine_min=0.9, cosine_mean=0.99, recall_at_10=0.93),
}
"""Floats are held against the numpy reference on `PROBES`, int8 against float32 on texts it was not calibrated on."""

MIN_TEXTS = 200
"""For int8: half of them calibrate, the others judge; a recall over fewer says nothing."""
_MAX_CALIBRATION = 128
_MAX_JUDGES = 1000
_ODD = (
    "?",
    "??",
    "???",
    "!!!",
    "...",
    "-",
    "#",
    "1",
    "a",
    "n/a",
    "12 34",
    "$5",
    "missing?",
    "??? lost",
    "12.5%",
    "*new*",
)
"""What catalogues also hold. Such texts reach activations that no ordinary one does, and would be clipped."""


def build(source: Source, precision: Precision, store: Store, report: Report, texts: Sequence[str] = ()) -> Path:
    """Build an artifact, hold it against its reference and install it.

    Args:
        source: what to build.
        precision: in which numbers.
        store: where to put it.
        report: told every step.
        texts: the shop's own; int8 needs `MIN_TEXTS` of them.

    Raises:
        ModelError: parity is lost, or int8 has too few texts.
    """
    if precision is Precision.INT8:
        return _build_int8(source, store, report, texts)
    report(f"building {source.card.name} in {precision}")
    bridge = _bridge(source)
    draft = _Draft.of(source, precision, export.build(source.bert, source.card.pooling, precision, bridge))
    report("holding it against the reference")
    ids = Tokenizer(source.tokenizer, source.card.max_tokens, source.card.prefix).ids(PROBES)
    expected = reference.encode(source.bert, ids, source.card.pooling)
    if bridge is not None:
        expected = cross(bridge, expected, ids)
    measured = gate(draft.encoder().encode(PROBES), expected, LIMITS[precision])
    return draft.install(measured, store, report)


def build_ready(graph: Path, store: Store, report: Report) -> Path:
    """Check a ready-made ONNX graph, bring it to our shape and install it.

    Raises:
        ModelError: it is not sound, or not the graph of a sentence encoder.
    """
    report(f"adapting {graph.name}")
    card, model, tokenizer = ready.read_ready(graph)
    return _Draft(card, Precision.READY, model, tokenizer, ready.digests(graph)).install({}, store, report)


def build_exported(directory: Path, store: Store, report: Report) -> Path:
    """Let PyTorch export a model of another architecture, hold the graph against the model and install it.

    Raises:
        ModelError: it cannot be loaded or exported, parity is lost, or it is not a sentence encoder.
        MissingRuntimeError: the extra `export` is not installed.
    """
    sources = digests(directory)
    card = describe(directory, name=directory.resolve().name, revision=sources[WEIGHTS])
    report(f"exporting {card.name} by PyTorch")
    theirs = torchexport.load(directory)
    card, model = ready.adapt(theirs.graph(), card)
    draft = _Draft(card, Precision.FP32, model, (directory / TOKENIZER).read_bytes(), sources)
    tokenizer = Tokenizer(draft.tokenizer, card.max_tokens, card.prefix)
    tokenizer.check(theirs.words)
    report("holding it against the model in PyTorch")
    texts = [*PROBES, "a " * card.max_tokens]
    expected = reference.pool([theirs.hidden(row) for row in tokenizer.ids(texts)], card.pooling)
    return draft.install(gate(draft.encoder().encode(texts), expected, LIMITS[Precision.FP32]), store, report)


def split(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts to calibrate on and other texts to judge by; the same ones whatever order they come in.

    Raises:
        ModelError: there are too few different ones.
    """
    mixed = sorted(set(texts), key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())
    if len(mixed) < MIN_TEXTS:
        raise ModelError(
            f"int8 is calibrated on the shop's own texts: got {len(mixed)} different ones, wanted {MIN_TEXTS} or more. "
            "Name a file of them with --texts"
        )
    cut = min(_MAX_CALIBRATION, len(mixed) // 2)
    return mixed[:cut], mixed[cut : cut + _MAX_JUDGES]


def _build_int8(source: Source, store: Store, report: Report, texts: Sequence[str]) -> Path:
    calibration, judges = split(texts)
    report(f"calibrating {source.card.name} in int8 on {len(calibration)} texts")
    tokenizer = Tokenizer(source.tokenizer, source.card.max_tokens, source.card.prefix)
    bridge = _bridge(source)
    model = quantize(source.bert, source.card.pooling, tokenizer.ids([*calibration, *PROBES, *_ODD]), bridge)
    report(f"holding it against float32 on {len(judges)} other texts")
    floats = export.build(source.bert, source.card.pooling, bridge=bridge)
    exact = _Draft.of(source, Precision.FP32, floats).encoder()
    draft = _Draft.of(source, Precision.INT8, model)
    measured = gate(draft.encoder().encode(judges), exact.encode(judges), LIMITS[Precision.INT8])
    return draft.install(measured, store, report)


def _bridge(source: Source) -> Bridge | None:
    """The bridge of a model that wants one, made with its own float32 vectors."""
    if not source.bridged:
        return None
    plain = _Draft.of(source, Precision.FP32, export.build(source.bert, source.card.pooling)).encoder()
    tokenizer = Tokenizer(source.tokenizer, source.card.max_tokens, source.card.prefix)
    return span(plain.encode, tokenizer.words(len(source.bert.words)))


@dataclass(frozen=True, slots=True)
class _Draft:
    """An artifact that is not installed yet."""

    card: ModelCard
    precision: Precision
    model: bytes
    tokenizer: bytes
    sources: dict[str, str]

    @classmethod
    def of(cls, source: Source, precision: Precision, model: bytes) -> "_Draft":
        return cls(source.card, precision, model, source.tokenizer, source.digests)

    def manifest(self, measured: dict[str, float]) -> Manifest:
        files = {MODEL: sha256(self.model), TOKENIZER: sha256(self.tokenizer)}
        return Manifest(self.card, self.precision, self.sources, files, measured)

    def encoder(self) -> OnnxEncoder:
        return OnnxEncoder(self.manifest({}), self.model, self.tokenizer, running=ON_CPU)

    def install(self, measured: dict[str, float], store: Store, report: Report) -> Path:
        encoder = self.encoder()
        encoder.check()
        check_lengths(encoder.encode(PROBES))
        check_company(encoder.encode)
        manifest = self.manifest(measured)
        path = store.install(manifest, {MODEL: self.model, TOKENIZER: self.tokenizer})
        report(f"{manifest.card.name}@{manifest.version} is ready")
        return path
