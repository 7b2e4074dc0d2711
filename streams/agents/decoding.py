"""What one role sends to another, out of the records it came in."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from streams.engine.effects import Record, Rejection, RejectReason
from streams.errors import ContractError

T = TypeVar("T")


def decoded(records: Sequence[Record], decode: Callable[[bytes], T]) -> tuple[list[tuple[Record, T]], list[Rejection]]:
    """Records with what they say, in order, and the rejections of those for which `decode` raises ContractError."""
    found, rejections = [], []
    for record in records:
        try:
            found.append((record, decode(record.value or b"")))
        except ContractError as error:
            rejections.append(Rejection(record, RejectReason.UNDECODABLE, str(error)))
    return found, rejections
