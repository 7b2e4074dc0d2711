"""The real encoder: a built artifact on ONNX Runtime."""

from collections.abc import Sequence

import numpy as np

from encoders.base import ModelError, Vectors
from encoders.batching import TOKEN_BUDGET, pad, plan
from encoders.card import Manifest
from encoders.runtime import Device, open_session
from encoders.tokenizing import Tokenizer


class OnnxEncoder:
    """A sentence encoder behind the `Encoder` protocol. Safe to call from several threads.

    Args:
        manifest: what the model is.
        model: the ONNX file's bytes.
        tokenizer: `tokenizer.json`.
        template: names how the caller makes a text of an item; part of the id.
        threads: of one run.
        token_budget: tokens of one run at most, padding included.
        device: where to run.

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
        threads: int = 1,
        token_budget: int = TOKEN_BUDGET,
        device: Device = Device.AUTO,
    ) -> None:
        """See the class."""
        card = manifest.card
        self.manifest = manifest
        self.id = manifest.encoder_id(template)
        self.dim = card.dim
        self._budget = token_budget
        self._tokenizer = Tokenizer(tokenizer, card.max_tokens, card.prefix)
        self._session = open_session(model, threads=threads, device=device)
        self.provider: str = self._session.get_providers()[0]
        """The execution provider in use, as the session itself reports it."""
        shape = self._session.get_outputs()[0].shape
        if shape[-1] != card.dim:
            raise ModelError(f"the model gives vectors of shape {shape}, its card says {card.dim} coordinates")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows.

        A text's vector has the same bits whatever it is encoded with, on one device and ONNX Runtime version.
        """
        ids = self._tokenizer.ids(texts)
        vectors = np.empty((len(ids), self.dim), np.float32)
        for batch in plan([len(row) for row in ids], self._budget, limit=self.manifest.card.max_tokens):
            padded, mask = pad([ids[row] for row in batch.rows], batch.tokens)
            vectors[list(batch.rows)] = self._session.run(["embedding"], {"input_ids": padded, "attention_mask": mask})[
                0
            ]
        return vectors
