"""What a run came to: one JSON object for programs, a few sentences for people."""

from typing import Any

import msgspec

from streams.demo.score import AT
from streams.demo.tracker import Figures


class Outcome(msgspec.Struct, kw_only=True):
    """The whole run, or what there was of it when it was interrupted. Latencies and rates are None without data.

    `seconds` are those in which events were sent. `targets` is what both hit rates are shares of (`demo.score`).
    """

    events: int = 0
    recommendations: int = 0
    items: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    hit_rate_20: float | None = None
    popularity_hit_rate_20: float | None = None
    targets: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    households: int = 0
    broker: str | None = None
    model: str | None = None
    shop: str | None = None
    interrupted: bool = False

    def conclude(self, figures: Figures) -> None:
        """Take over the figures of the whole run."""
        self.events = figures.events
        self.recommendations = figures.recommendations
        self.p50_ms, self.p99_ms = figures.p50_ms, figures.p99_ms
        self.hit_rate_20, self.popularity_hit_rate_20 = figures.hit_rate, figures.popularity_hit_rate
        self.targets = figures.targets
        self.unanswered = figures.unanswered
        self.seconds = figures.seconds

    def json(self) -> str:
        """One line."""
        return msgspec.json.encode(_rounded(self)).decode()

    def __str__(self) -> str:
        if not self.events:
            return "Stopped before the first event was sent."
        lines = [
            f"{self.events:,} events in {self.seconds:.0f} s brought {self.recommendations:,} recommendations "
            f"over {self.items:,} items."
        ]
        if self.p50_ms is not None and self.p99_ms is not None:
            lines.append(
                f"From event to recommendation: half within {self.p50_ms:,.1f} ms, 99 % within {self.p99_ms:,.1f} ms."
            )
        if self.unanswered:
            lines.append(f"{self.unanswered:,} events had no answer yet when the run ended.")
        if self.hit_rate_20 is not None and self.popularity_hit_rate_20 is not None:
            lines.append(
                f"Of {self.targets:,} items bought next, {self.hit_rate_20:.1%} were among the {AT} recommended just "
                f"before; the {AT} most popular would have had {self.popularity_hit_rate_20:.1%}."
            )
        return "\n".join(lines)


def _rounded(outcome: Outcome) -> dict[str, Any]:
    """Fields with as many digits as mean something."""
    digits = {"p50_ms": 2, "p99_ms": 2, "hit_rate_20": 4, "popularity_hit_rate_20": 4, "seconds": 2}
    row = msgspec.structs.asdict(outcome)
    return {name: round(value, digits[name]) if name in digits and value is not None else value
            for name, value in row.items()}  # fmt: skip
