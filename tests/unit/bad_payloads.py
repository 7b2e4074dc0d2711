"""Some two hundred kinds of records that are no events, by construction."""

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.unit.records import NOW

USER = "anna"
GOOD: dict[str, Any] = {"id": "bad", "type": "purchase", "time": NOW, "user": USER, "item": "milk", "value": 1.0}
DAY = 86_400_000

Payload = tuple[str, bytes | None, bytes | None]
"""What is wrong, key, value."""

WRONG_TYPES: dict[str, list[Any]] = {
    "id": [None, 1, 1.5, True, [], {}, "", "x" * 257],
    "type": [None, 1, True, [], {}, "", "teleport", "Purchase", "purchase ", "x" * 1000],
    "time": [None, "now", 1.5, True, [], {}, -1, 10**18, "2026-01-01T00:00:00Z", str(NOW)],
    "user": [1, 1.5, True, [], {}, "", "x" * 257],
    "item": [None, 1, 1.5, True, [], {}, "", "x" * 257],
    "value": ["1", True, [], {}, [1.0]],
    "session": [1, True, [], {}, "", "x" * 257],
    "query": [1, True, [], {}, "x" * 1025],
    "anonymous_id": [1, True, [], {}, ""],
    "attributes": [1, True, [], "text", {"a": []}, {"a": {}}, {"x" * 129: 1}],
}


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def bad_payloads() -> list[Payload]:
    """All of them, in an order that is the same every time."""
    return [*_broken_json(), *_wrong_fields(), *_wrong_keys(), *_hostile()]


def _broken_json() -> Iterator[Payload]:
    rng = random.Random(7)
    whole = encoded(GOOD)
    for cut in range(0, len(whole), 2):
        yield f"cut at {cut}", USER.encode(), whole[:cut]
    for number in range(20):
        yield f"random bytes {number}", USER.encode(), rng.randbytes(rng.randint(1, 200))
    for name, value in {
        "null": None,
        "JSON null": b"null",
        "a number": b"17",
        "a string": b'"purchase"',
        "a list": b"[]",
        "a list of events": b"[" + whole + b"]",
        "two events": whole + whole,
        "trailing comma": whole[:-1] + b",}",
        "trailing text": whole + b" and more",
        "single quotes": whole.replace(b'"', b"'"),
        "a byte order mark": b"\xef\xbb\xbf" + whole,
        "UTF-16": whole.decode().encode("utf-16"),
        "latin-1": encoded(GOOD).replace(b"milk", "caf\u00e9".encode("latin-1")),
        "a lone surrogate": whole.replace(b"milk", b"\\ud800"),
        "a control character": whole.replace(b"milk", b"mi\x00lk"),
        "gzip": gzip.compress(whole, mtime=0),
        "a comment": whole + b" // done",
        "no quotes": whole.replace(b'"id"', b"id"),
        "leading zeros": whole.replace(b'"value": 1.0', b'"value": 01.0'),
        "NaN": whole.replace(b"1.0", b"NaN"),
        "Infinity": whole.replace(b"1.0", b"Infinity"),
        "minus Infinity": whole.replace(b"1.0", b"-Infinity"),
        "past float64": whole.replace(b"1.0", b"1e999"),
    }.items():
        yield name, USER.encode(), value


def _wrong_fields() -> Iterator[Payload]:
    for field, values in WRONG_TYPES.items():
        for number, value in enumerate(values):
            yield f"{field} is wrong {number}", USER.encode(), encoded({**GOOD, field: value})
    for field in ("id", "type", "time", "item"):
        yield f"no {field}", USER.encode(), encoded({name: value for name, value in GOOD.items() if name != field})
    for stars in (None, 0, 0.5, 5.5, -1, 1e300):
        yield f"{stars} stars", USER.encode(), encoded({**GOOD, "type": "rating", "value": stars})
    for ahead in (1, 1000, 365 * DAY):
        yield f"{ahead} ms too far ahead", USER.encode(), encoded({**GOOD, "time": 4 * 10**12 + ahead})


def _wrong_keys() -> Iterator[Payload]:
    for name, key in {
        "none": None,
        "empty": b"",
        "not text": b"\xff\xfe\xfd",
        "another shopper": b"bert",
        "other case": b"ANNA",
        "a space": b"anna ",
        "JSON": b'"anna"',
        "a number": (17).to_bytes(8, "big"),
    }.items():
        yield f"key: {name}", key, encoded(GOOD)
    yield "neither user nor anonymous id", USER.encode(), encoded({**GOOD, "user": None})
    yield "another's anonymous id", USER.encode(), encoded({**GOOD, "user": None, "anonymous_id": "bert"})


def _hostile() -> Iterator[Payload]:
    for depth in (100, 1_000, 10_000, 30_000):
        yield f"lists {depth} deep", USER.encode(), b'{"x":' + b"[" * depth
        yield f"objects {depth} deep", USER.encode(), b'{"x":' * min(depth, 10_000) + b"1"
    for size in (65_537, 100_000, 900_000):
        yield f"{size} bytes", USER.encode(), encoded(GOOD).replace(b"milk", b"m" * size)
    yield "many fields", USER.encode(), encoded({f"field-{n}": n for n in range(5_000)})
