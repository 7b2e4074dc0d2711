"""How fast an encoder is on this machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from encoders.base import Encoder

WINDOW = 64
"""Texts that are encoded at a time, as they come: what a stream's micro-batch looks like."""
_SINGLES = 30


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured, on texts in the order they came."""

    texts: int
    per_second: float
    """Texts per second of wall clock, in windows of `WINDOW`."""
    per_cpu_second: float
    """Texts per second of processor time: what counts on a shared machine."""
    single_ms: float
    """Median wall clock of one text alone."""


def measure(encoder: Encoder, texts: Sequence[str], seconds: float = 3.0) -> Speed:
    """Encode texts again and again, for at least `seconds` and one window, after one to warm up.

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("got no texts to measure with")
    encoder.encode(texts[:WINDOW])
    done, wall, processor = 0, time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - wall < seconds:
        start = done % len(texts)
        done += len(encoder.encode(texts[start : start + WINDOW]))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    singles = []
    for text in texts[:_SINGLES]:
        began = time.perf_counter()
        encoder.encode([text])
        singles.append(time.perf_counter() - began)
    return Speed(done, done / wall, done / processor, 1000 * median(singles))
