"""Text to token ids, by the `tokenizers` library and a model's own `tokenizer.json`."""

from collections.abc import Sequence

from tokenizers import Tokenizer as _Tokenizer

from encoders.base import ModelError


class Tokenizer:
    """A model's tokenizer: adds the special tokens, cuts at the model's length, never pads.

    Args:
        data: `tokenizer.json`.
        max_tokens: longer texts are cut, special tokens counted.
        prefix: put before every text.

    Raises:
        ModelError: the file is no tokenizer.
    """

    def __init__(self, data: bytes, max_tokens: int, prefix: str = "") -> None:
        """See the class."""
        try:
            self._tokenizer = _Tokenizer.from_buffer(data)
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"tokenizer.json cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._max_tokens = max_tokens
        self._prefix = prefix

    @property
    def size(self) -> int:
        """How many tokens it knows."""
        return int(self._tokenizer.get_vocab_size())

    def words(self, rows: int) -> list[str]:
        """The words of an embedding table of so many rows, as the tokenizer writes them; empty where none is."""
        return [self._tokenizer.id_to_token(i) or "" for i in range(rows)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text. A lone surrogate, which UTF-8 cannot carry, counts as a question mark."""
        sound = [(self._prefix + text).encode("utf-8", "replace").decode() for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(sound)]

    @property
    def last(self) -> int:
        """The greatest id of a token."""
        return max(self._tokenizer.get_vocab().values(), default=0)

    def check(self, rows: int | None) -> None:
        """Refuse a tokenizer that belongs to another model.

        Args:
            rows: words in the model's embedding table; None where it is not known.

        Raises:
            ModelError: the table and the tokenizer do not fit; a text without words has no tokens at all; or special
                tokens and prefix leave no room for a text.
        """
        # Tables are often padded by a few rows; a tokenizer that knows more than the table would read past it.
        if rows is not None and not 0.98 * rows <= self.size <= rows:
            raise ModelError(
                f"wrong tokenizer: tokenizer.json knows {self.size} tokens, the model has {rows}. "
                "Take both from the same model"
            )
        if not (empty := self.ids([""])[0]):
            raise ModelError("wrong tokenizer: it adds no special tokens, so an empty text would have no vector")
        if len(empty) >= self._max_tokens:
            raise ModelError(
                f"the model takes {self._max_tokens} tokens, which special tokens and its prompt fill: no text has room"
            )
