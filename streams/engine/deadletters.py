"""The record that goes to the dead-letter topic: the refused one byte for byte, and why in its headers.

Headers as `streams.records.DeadLetter` names them, after the record's own.
"""

from streams.engine.effects import Output, Rejection

HEADER_PREFIX = "upwell."
_DETAIL_BYTES = 1024


def dead_letter(topic: str, rejection: Rejection) -> Output:
    """A rejection as a record for the dead-letter topic."""
    record = rejection.record
    why = {
        "reason": rejection.reason.value,
        "detail": rejection.detail.encode()[:_DETAIL_BYTES].decode(errors="ignore"),
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
    }
    headers = tuple((HEADER_PREFIX + name, text.encode()) for name, text in why.items())
    return Output(topic, record.key, record.value, headers=(*record.headers, *headers))
