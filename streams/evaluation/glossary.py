"""What the names of a report mean, in words for who has not read docs/evaluation.md."""

from collections.abc import Mapping
from typing import Any

from streams.evaluation.questions import Targets

METRICS: Mapping[str, str] = {
    "HitRate": "sets of which at least one target was in the list",
    "MRR": "1 / place of the first target in the list, 0 for none",
    "NDCG": "targets in the list, those at its top counting more; 1 is the best that can be",
    "Recall": "targets of a set that were in the list",
    "Found": "targets of all sets that were in the lists; found NDCG weighs them by their places",
    "coverage": "share of the catalogue that was in anybody's list",
    "diversity": "how unlike each other the items of a list are, 0 to 1, by their vectors",
    "novelty": "how little known the items of a list are, in bits",
    "ask, learn": "microseconds to make a list, and to take in an event",
}
"""By their heads."""

BASELINES: Mapping[str, str] = {
    "popularity": "most events ever",
    "decayed-popularity": "most events, each halved every 5 days",
    "p-topfreq": "what was in most of the user's sets",
    "last-item": "what is most like the user's last item",
    "mean-profile": "what is most like the mean of the user's items",
    "reserved-slot": "decayed popularity, behind one place for what is hardly known and most like the user's items",
    "item-knn": "what shares sessions with the user's last items",
    "v-sknn": "what is in the sessions most like the user's",
    "v-sknn-tuned": "the same, tuned for the next basket of a gift shop",
    "v-sknn-lines": "the same, tuned for the next line of an invoice there",
    "ease": "a linear model of all items, retrained daily",
}
"""By name."""


def question(about: Mapping[str, Any]) -> str:
    """What was asked of the log, in a sentence. `about`: what was evaluated, as in the JSON report."""
    reading = about["reading"]
    first_time = reading["targets"] == Targets.FIRST_TIME.value
    parts = [
        "Targets are the items that were new to the user" if first_time else "Targets are all items of a set",
        f"by {', '.join(reading['types'])}" if reading["types"] else "",
        f"after the first {reading['from']:.0%} of the events",
    ]
    limit = f"; of the sets, {reading['limit']:,} at most were drawn at random" if reading["limit"] else ""
    return f"{' '.join(part for part in parts if part)}{limit}. Encoder of the catalogue: {about['model']}."


def policy(fields: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """What a policy says other than the usual one. Both as fields of a file."""
    said = [
        f"{name} = {_value(value)}"
        for name, value in fields.items()
        if name not in ("name", "channel_weights") and value != usual[name]
    ]
    weights, plain = fields["channel_weights"], usual["channel_weights"]
    for channel in plain:
        weight = weights.get(channel, 0.0)
        if weight != plain[channel]:
            said.append(f"{channel} weighs {weight:g}" if weight else f"{channel} is off")
    return "; ".join(said) or "the default settings"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as TOML and JSON have it
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
