"""The encoder on a GPU: texts a second, the share of the card's float16 peak, and beside sentence-transformers.

Needs a built float16 model and onnxruntime-gpu (with CUDA and cuDNN), tokenizers, msgspec and numpy; torch for the peak
and sentence-transformers for the comparison. Everything is read from folders, so that it runs on a bare machine without
a network, from carried wheels:

    upwell model build all-MiniLM-L6-v2@fp16 --json        (where there is a network; prints the artifact's path)
    python -m benchmarks.encoder_gpu ARTIFACT --weights HUGGING_FACE_FOLDER --json gpu.json

Texts are random words of the vocabulary, chosen so that each has exactly the stated number of tokens. End to end means
strings in, vectors out, tokenizing and copying included. The peak is PyTorch's best float16 product of 8192 x 8192
matrices. `--cpu` runs everything on a CPU, to see that it runs: such figures say nothing of a GPU.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encoders.base import EncoderError
from encoders.gates import PROBES, check_company, cosines
from encoders.onnx import OnnxEncoder
from encoders.runtime import Device, Running
from encoders.store import MODEL, TOKENIZER, verify
from encoders.tokenizing import Tokenizer

LENGTHS = (16, 64, 128)
LAYER_FLOPS = 24
"""Operations of the linear layers, a token, a layer and width², attention apart."""


def best(work: Callable[[], object], seconds: float) -> float:
    """The shortest wall time of some work, tried for so many seconds after a warm-up."""
    work()
    times = []
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def texts_of(tokenizer: bytes, tokens: int, count: int) -> list[str]:
    """Texts of exactly so many tokens, special ones included."""
    vocabulary = [word for word in json.loads(tokenizer)["model"]["vocab"] if word.isascii() and word.isalpha()]
    words = random.Random(tokens).choices(vocabulary, k=count * (tokens - 2))
    texts = [" ".join(words[start : start + tokens - 2]) for start in range(0, len(words), tokens - 2)]
    ids = Tokenizer(tokenizer, 512).ids(texts)
    return [text for text, row in zip(texts, ids, strict=True) if len(row) == tokens]


def peak_flops(device: str, size: int, seconds: float) -> float | None:
    """Operations a second of a float16 product, by PyTorch; None without it."""
    try:
        import torch
    except ImportError:
        return None
    a, b = (torch.randn(size, size, dtype=torch.float16, device=device) for _ in range(2))

    def work() -> None:
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()

    return 2 * size**3 / best(work, seconds)


def peer(weights: Path, device: str) -> Callable[[Sequence[str]], np.ndarray] | None:
    """sentence-transformers as it comes, on the same device; None without it."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    model = SentenceTransformer(str(weights), device=device)
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


def describe(device: str) -> str:
    try:
        import torch
    except ImportError:
        return device
    return torch.cuda.get_device_name() if device == "cuda" else device


def measure(given: argparse.Namespace) -> dict[str, Any]:
    manifest, files = verify(given.artifact)
    device, width = ("cpu" if given.cpu else "cuda"), manifest.card.dim
    encoders = {}
    for graphs in (False,) if given.cpu else (False, True):
        running = Running(Device.CPU if given.cpu else Device.GPU, cuda_graphs=graphs)
        encoder = OnnxEncoder(manifest, files[MODEL], files[TOKENIZER], running=running)
        check_company(encoder.encode)
        encoders["CUDA graphs" if graphs else "plain"] = encoder
    theirs = peer(given.weights, device) if given.weights else None
    peak = peak_flops(device, 512 if given.cpu else 8192, given.seconds)
    result: dict[str, Any] = {"card": describe(device), "model": f"{manifest.card.name}@{manifest.version}"}
    result |= {"provider": encoders["plain"].provider, "peak_tflops": peak and peak / 1e12, "rows": []}
    if theirs is not None:
        ours = encoders["plain"].encode(PROBES)
        result["cosine_to_sentence_transformers"] = float(cosines(ours, theirs(PROBES)).min())
    for tokens in LENGTHS:
        texts = texts_of(files[TOKENIZER], tokens, given.texts)
        flops = len(manifest.card.layers) * tokens * (LAYER_FLOPS * width**2 + 4 * tokens * width)
        row: dict[str, Any] = {"tokens": tokens, "texts": len(texts)}
        for name, encoder in encoders.items():
            rate = len(texts) / best(lambda encoder=encoder, texts=texts: encoder.encode(texts), given.seconds)
            row[name] = {"per_second": rate, "peak_share": peak and rate * flops / peak}
        if theirs is not None:
            rate = len(texts) / best(lambda texts=texts: theirs(texts), given.seconds)
            row["sentence-transformers"] = {"per_second": rate, "peak_share": peak and rate * flops / peak}
        result["rows"].append(row)
    if fallen := [
        name for name, encoder in encoders.items() if (encoder.provider == "CPUExecutionProvider") != given.cpu
    ]:
        raise SystemExit(f"the GPU failed in flight ({', '.join(fallen)}): the figures would be the CPU's")
    return result


def show(result: dict[str, Any]) -> None:
    peak = result["peak_tflops"]
    print(f"{result['model']} on {result['card']} by {result['provider']}", end="")
    print(f"; float16 peak {peak:.1f} TFLOP/s" if peak else "; peak not measured: there is no torch here")
    if "cosine_to_sentence_transformers" in result:
        print(f"least cosine to sentence-transformers: {result['cosine_to_sentence_transformers']:.5f}")
    for row in result["rows"]:
        rival = row.get("sentence-transformers")
        for name in (key for key in row if key not in ("tokens", "texts")):
            figures = row[name]
            share = f"{figures['peak_share']:7.1%} of peak" if figures["peak_share"] else ""
            ratio = f"{figures['per_second'] / rival['per_second']:6.2f}x sentence-transformers" if rival else ""
            print(f"{row['tokens']:4} tokens  {name:22} {figures['per_second']:12,.1f} texts/s  {share}  {ratio}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path, help="a built model's folder")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="the same model for sentence-transformers")
    parser.add_argument("--texts", type=int, default=16_384, help="of each length (default: 16384)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement (default: 5)")
    parser.add_argument("--cpu", action="store_true", help="try it out on a CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args(arguments)
    try:
        result = measure(given)
    except EncoderError as error:
        raise SystemExit(f"nothing was measured: {error}. --cpu tries everything out on a CPU") from None
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
