"""The real encoder: a built artifact on ONNX Runtime."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from encoders import budget
from encoders.base import ModelError, Vectors
from encoders.card import Manifest
from encoders.runners import CpuRunner, GpuRunner, Runner, WithFallback
from encoders.runtime import CPU, Device, Running, open_session
from encoders.tokenizing import Tokenizer

AUTO = Running()

_AHEAD = 4096
"""Texts that are tokenized while the model runs on those before: on a GPU, tokenizing would be half of the time."""

_log = logging.getLogger(__name__)


class OnnxEncoder:
    """A sentence encoder behind the `Encoder` protocol. Safe to call from several threads on a CPU.

    Args:
        manifest: what the model is.
        model: the ONNX file's bytes.
        tokenizer: `tokenizer.json`.
        template: names how the caller makes a text of an item; part of the id.
        running: where and how it runs.

    Raises:
        ModelError: the files are not what the manifest says.
        MissingRuntimeError: onnxruntime is missing, or a GPU is required and there is none.
    """

    def __init__(
        self,
        manifest: Manifest,
        model: bytes,
        tokenizer: bytes,
        *,
        template: str = "",
        running: Running = AUTO,
    ) -> None:
        """See the class."""
        card = manifest.card
        self.manifest = manifest
        self.id = manifest.encoder_id(template)
        self.dim = card.dim
        self._tokenizer = Tokenizer(tokenizer, card.max_tokens, card.prefix)
        session = open_session(model, running)
        shape = session.get_outputs()[0].shape
        if shape[-1] != card.dim:
            raise ModelError(f"the model gives vectors of shape {shape}, its card says {card.dim} coordinates")

        def on_cpu() -> CpuRunner:
            return CpuRunner(open_session(model, replace(running, device=Device.CPU)), card.max_tokens)

        if session.get_providers()[0] == CPU:
            cpu = CpuRunner(session, card.max_tokens)
            self.token_budget = running.token_budget or _measured(cpu, running.threads, card.max_tokens)
            cpu.budget = self.token_budget
            self._runner: Runner = cpu
        else:
            gpu = GpuRunner(session, card.max_tokens, card.dim, graphs=running.cuda_graphs)
            self.token_budget = gpu.tokens
            self._runner = WithFallback(gpu, on_cpu)
        _log.info("%s runs on %s, %d tokens at a time", self.id, self.provider, self.token_budget)

    @property
    def provider(self) -> str:
        """The execution provider in use, as the session itself reports it."""
        return self._runner.provider

    def check(self) -> None:
        """Refuse a graph that would fail later on: at a text as long as the card allows, or at a rare word.

        Raises:
            ModelError: it cannot take so many tokens, or the tokenizer knows words that it does not.
        """
        longest, last = self.manifest.card.max_tokens, self._tokenizer.last
        try:
            self._runner.run([[0] * longest], longest)
        except Exception as error:  # ONNX Runtime's exceptions have no public base class
            raise ModelError(
                f"the model cannot take {longest} tokens: state how many it can as max_seq_length in its "
                "sentence_bert_config.json"
            ) from error
        try:
            self._runner.run([[last]], 1)
        except Exception as error:
            raise ModelError(
                f"wrong tokenizer: tokenizer.json knows a token {last}, which the model does not. "
                "Take both from the same model"
            ) from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows.

        A text's vector has the same bits whatever it is encoded with, on one device and ONNX Runtime version.
        """
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start, ids in self._tokenized(texts):
            for batch in self._runner.plan([len(row) for row in ids]):
                rows = [start + row for row in batch.rows]
                vectors[rows] = self._runner.run([ids[row] for row in batch.rows], batch.tokens)
        return vectors

    def _tokenized(self, texts: Sequence[str]) -> Iterator[tuple[int, list[list[int]]]]:
        """Token ids of texts, a part at a time with the place of its first text; the next part is made meanwhile."""
        parts = [texts[start : start + _AHEAD] for start in range(0, len(texts), _AHEAD)]
        if len(parts) < 2:
            yield from ((0, self._tokenizer.ids(part)) for part in parts)
            return
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(self._tokenizer.ids, parts[0])
            for number in range(len(parts)):
                ids = coming.result()
                if number + 1 < len(parts):
                    coming = beside.submit(self._tokenizer.ids, parts[number + 1])
                yield number * _AHEAD, ids


def _measured(runner: CpuRunner, threads: int, longest: int) -> int:
    """The token budget that is best here; processor time is right on a busy machine, where a run has one thread."""

    def run(rows: int, tokens: int) -> None:
        runner.run([[0] * tokens] * rows, tokens)

    return budget.measure(run, time.thread_time if threads == 1 else time.perf_counter, longest)
