"""One peer of the encoder benchmark, run by the interpreter of an environment that has it.

Speaks JSON lines: reads {"library", "model", "threads"} (null leaves them to the library), then one list of texts per
line; answers each with the processor seconds that encoding took, its wall seconds and, for the first ten texts, their
vectors.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Encode = Callable[[Sequence[str]], Any]


def sentence_transformers(model: str, threads: int | None) -> Encode:
    import torch
    from sentence_transformers import SentenceTransformer

    if threads is not None:
        torch.set_num_threads(threads)
    encoder = SentenceTransformer(model, device="cpu")
    return lambda texts: encoder.encode(list(texts), show_progress_bar=False)


def fastembed(model: str, threads: int | None) -> Encode:
    from fastembed import TextEmbedding

    name = "sentence-transformers/all-MiniLM-L6-v2"
    encoder = TextEmbedding(name, specific_model_path=model, threads=threads)
    return lambda texts: list(encoder.embed(list(texts)))


def main() -> None:
    sys.path.pop(0)  # this folder: its `datasets` would be taken for the package that transformers looks for
    settings = json.loads(sys.stdin.readline())
    load = {"sentence-transformers": sentence_transformers, "fastembed": fastembed}[settings["library"]]
    encode = load(settings["model"], settings["threads"])
    for line in sys.stdin:
        texts = json.loads(line)
        wall, processor = time.perf_counter(), time.process_time()
        vectors = encode(texts)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        first = np.asarray(vectors[:10], np.float64).tolist()
        print(json.dumps({"processor": processor, "wall": wall, "vectors": first}), flush=True)


if __name__ == "__main__":
    main()
