"""Models of other architectures than BERT's, through PyTorch and its own exporter to ONNX (the extra `export`).

Only weights in safetensors and code of the library itself are loaded: nothing in the model's directory is run.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from encoders.base import MissingRuntimeError, ModelError
from encoders.graph import OPSET
from encoders.weights import Array, unsupported

_INPUTS = ("input_ids", "attention_mask")


class TokenModel(Protocol):
    """A model that gives one vector per token."""

    @property
    def words(self) -> int:
        """Rows of its embedding table."""
        ...

    def hidden(self, ids: Sequence[int]) -> Array:
        """What it gives for one text: float32 (len(ids), width).

        Raises:
            ModelError: it cannot take them.
        """
        ...

    def graph(self) -> onnx.ModelProto:
        """The model in ONNX: int64 `input_ids`, `attention_mask` (batch, tokens) → float32 (batch, tokens, width).

        Raises:
            ModelError: it cannot be exported.
        """
        ...


def load(directory: Path) -> TokenModel:
    """The model in a directory of Hugging Face's layout.

    Raises:
        MissingRuntimeError: PyTorch or transformers is not installed.
        ModelError: transformers cannot load it.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingRuntimeError(
            f"{unsupported(directory)}, so PyTorch has to export it: install upwell[export], or name an ONNX file of it"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        # Eager attention: the exporter knows each of its operations.
        model = transformers.AutoModel.from_pretrained(
            str(directory),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="eager",
            dtype=torch.float32,
        )
    except Exception as error:  # of many kinds, by model
        raise ModelError(f"transformers cannot load {directory.name}: {_line(error)}") from error
    return _Torch(torch, model, directory.name)


class _Torch:
    """A model of transformers."""

    def __init__(self, torch: Any, model: Any, name: str) -> None:
        class Tokens(torch.nn.Module):  # type: ignore[misc]
            """The model with its inputs in order, and its first output alone."""

            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]

        self._torch, self._name = torch, name
        self._tokens = Tokens().eval()
        self.words = int(model.get_input_embeddings().weight.shape[0])

    def hidden(self, ids: Sequence[int]) -> Array:
        """See `TokenModel`."""
        torch = self._torch
        try:
            with torch.no_grad():
                hidden = self._tokens(torch.tensor([list(ids)]), torch.ones(1, len(ids), dtype=torch.int64))
        except (IndexError, RuntimeError) as error:
            raise ModelError(
                f"{self._name} cannot take {len(ids)} tokens ({_line(error)}): "
                "state how many it can as max_seq_length in its sentence_bert_config.json"
            ) from error
        return np.asarray(hidden[0].numpy(), np.float32)

    def graph(self) -> onnx.ModelProto:
        """See `TokenModel`."""
        torch = self._torch
        ids, mask = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)
        mask[1, 5:] = 0
        axes = {0: "batch", 1: "tokens"}
        file = io.BytesIO()
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # on what its tracing takes for constant; the gate sees what it does
                torch.onnx.export(
                    self._tokens,
                    (ids, mask),
                    file,
                    input_names=list(_INPUTS),
                    output_names=["hidden"],
                    dynamic_axes=dict.fromkeys((*_INPUTS, "hidden"), axes),
                    opset_version=OPSET,
                    dynamo=False,
                )
        except Exception as error:  # of many kinds, by model
            raise ModelError(f"PyTorch cannot export {self._name}: {_line(error)}") from error
        return onnx.load_from_string(file.getvalue())


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
