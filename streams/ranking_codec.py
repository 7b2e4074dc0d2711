"""What the ranker learns from, and what it has learnt, as bytes.

Both begin with a digest of the features' names and the contexts: numbers that stand for other features are passed over.

    examples record   version u8 ‖ digest (8 bytes) ‖ msgpack [origin, [[offset, history, away, n, features (n x K
                      float16 little-endian), had (n bytes), chosen (n bytes), stands_for (n float16)], …]]
    ranker row        version u8 ‖ source_offset i64 little-endian ‖ digest (8 bytes) ‖ msgpack [applied, examples,
                      means (float64), weights (float64), squares (float64)]     (applied = {origin: offset, …})
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
import numpy as np

from streams.codecs import of_row
from streams.core.features import FEATURES
from streams.core.ranking import BLOCKS, Example, Model, Ranker
from streams.engine import rows
from streams.errors import ContractError
from streams.transfers import body_of_record

EXAMPLES_VERSION = 1
RANKER_VERSION = 1
KEY = b"ranker"
"""Of the only row."""

DIGEST = blake2b(f"{BLOCKS} {[feature.name for feature in FEATURES]}".encode(), digest_size=8).digest()

_encode = msgspec.msgpack.Encoder().encode
_decode_examples = msgspec.msgpack.Decoder(
    tuple[int, list[tuple[int, int, int, int, bytes, bytes, bytes, bytes]]]
).decode
_decode_ranker = msgspec.msgpack.Decoder(tuple[dict[int, int], int, bytes, bytes, bytes]).decode


@dataclass(slots=True)
class Learnt:
    """The ranker with how far it is.

    Attributes:
        offset: the newest record of the examples in it.
        applied: by origin (partition of the events), the offset of the newest example in it.
        ranker: the weights.
    """

    offset: int = -1
    applied: dict[int, int] = field(default_factory=dict)
    ranker: Ranker = field(default_factory=Ranker)


def encode_examples(origin: int, examples: Sequence[Example]) -> bytes:
    """Examples of events of the partition `origin`, in offset order, as one record."""
    packed = [
        (
            example.offset,
            example.history,
            example.away,
            len(example.chosen),
            example.features.astype("<f2").tobytes(),
            example.had.tobytes(),
            example.chosen.tobytes(),
            example.stands_for.astype("<f2").tobytes(),
        )
        for example in examples
    ]
    return bytes([EXAMPLES_VERSION]) + DIGEST + _encode((origin, packed))


def decode_examples(value: bytes) -> tuple[int, list[Example]]:
    """Origin and examples of a record; none of other features than these.

    Raises:
        ContractError: when another version wrote it, or something else.
    """
    body = body_of_record(value, EXAMPLES_VERSION, "an examples record")
    if body[: len(DIGEST)] != DIGEST:
        return -1, []
    try:
        origin, packed = _decode_examples(body[len(DIGEST) :])
        return origin, [
            Example(
                offset,
                history,
                away,
                np.frombuffer(values, "<f2").astype(np.float32).reshape(count, len(FEATURES)),
                np.frombuffer(had, np.bool_, count),
                np.frombuffer(chosen, np.bool_, count),
                np.frombuffer(stands_for, "<f2", count).astype(np.float32),
            )
            for offset, history, away, count, values, had, chosen, stands_for in packed
        ]
    except (msgspec.DecodeError, ValueError) as error:
        raise ContractError(f"an examples record is none: {error}") from None


def encode_ranker(learnt: Learnt) -> bytes:
    """The ranker as the row of its table."""
    ranker = learnt.ranker
    arrays = (array.astype("<f8").tobytes() for array in (ranker.means, ranker.weights, ranker.squares))
    body = _encode((dict(sorted(learnt.applied.items())), ranker.examples, *arrays))
    return rows.header(RANKER_VERSION, learnt.offset) + DIGEST + body


@of_row("ranker")
def decode_ranker(value: bytes | None) -> Learnt:
    """The ranker in a row; one that has learnt nothing for None, and for a row of other features.

    Raises:
        ContractError: when another version wrote the row, or it is none.
    """
    if value is None:
        return Learnt()
    if (found := rows.version(value)) != RANKER_VERSION:
        raise ContractError(
            f"a ranker row has version {found}, this Upwell reads {RANKER_VERSION}: "
            "run the version that wrote it, or let its state go with `upwell reset`"
        )
    offset, body = rows.source_offset(value), value[rows.HEADER_SIZE :]
    if body[: len(DIGEST)] != DIGEST:
        return Learnt(offset)
    applied, examples, means, weights, squares = _decode_ranker(body[len(DIGEST) :])
    shape = BLOCKS, len(FEATURES)
    ranker = Ranker(
        np.frombuffer(weights, "<f8").reshape(shape).copy(),
        np.frombuffer(squares, "<f8").reshape(shape).copy(),
        np.frombuffer(means, "<f8", len(Model)).copy(),
        examples,
    )
    return Learnt(offset, applied, ranker)
