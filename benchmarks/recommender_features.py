"""What each feature of the ranker is worth: a log's examples, learnt from with some of the features left out.

    python -m benchmarks.recommender_features LOG... [--sampling 1.0]

LOG is what `upwell evaluate` takes. The log is replayed once, and every moment becomes an example as it would live.
Then a ranker learns from the examples anew for every row of the table, each ranked before it is learnt from, and the
NDCG at 20 among the candidates of the last half is told: over all of them, and over those that the shopper never had.
Intervals are those of the difference to all features, paired, 95 % of 1,000 bootstrap draws over examples.
"""

import argparse
import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from streams import settings
from streams.agents import profiles as agents
from streams.agents.ranker import Learning
from streams.core.features import COLUMN, FEATURES, FUSED
from streams.core.policy import Channel
from streams.core.ranking import Example, Ranker, bounded, ndcg
from streams.edge import limits_of
from streams.engine.effects import Output
from streams.evaluation import log as logs
from streams.evaluation.state import State
from streams.evaluation.study import TOPICS
from streams.items import load_item_encoder
from streams.topics import Topic

TOGETHER = 400
"""Sets that are folded at once."""

DRAWS = 1_000

Floats = npt.NDArray[np.float64]

GROUPS = {
    "the fused score": ["fused"],
    "ranks": [feature.name for feature in FEATURES if feature.name.startswith("rank_")],
    "prices": ["price_gap", "dearer"],
    "category and brand": ["category", "brand"],
    "what was seen": ["seen_weight", "seen_ago", "seen_now", "impressions"],
    "cosines to interests": ["cosine", "cosine_intent", "cosine_long"],
    "cosines to what was had": ["alike", "alike_sitting", "alike_new"],
    "the sitting's neighbours": ["sitting", "sitting_log"],
    "popularity, mass, trend": ["popularity", "popularity_log", "mass", "trend", "scarce"],
}


async def examples_of(paths: Sequence[str], sampling: float) -> list[Example]:
    """All examples of a log, with all their candidates."""
    configured, _ = settings.load()
    limits = limits_of(configured)
    log = await logs.read(paths, limits, (TOPICS.catalogue.name, TOPICS.events.name), print)
    state = State(
        TOPICS, limits, load_item_encoder(configured, "hashing"), learning=Learning(sampling, candidates=10**6, eager=0)
    )
    await state.stock(log.catalogue)
    found: list[Example] = []
    sending = agents.example_records

    def heard(topic: Topic, origin: int, made: Sequence[Example]) -> list[Output]:
        found.extend(example._replace(features=example.features.astype(np.float16)) for example in made)
        return sending(topic, origin, made)

    agents.example_records = heard
    sets = 0
    for moment in log.moments():
        state.learn(moment)
        sets += len(moment)
        if sets >= TOGETHER:
            await state.settle()
            sets = 0
    await state.settle()
    return found


def judged(examples: Sequence[Example], without: Iterable[str]) -> tuple[Floats, Floats, Ranker]:
    """NDCG of the last half of the examples, over all candidates and over new ones (NaN without any chosen)."""
    left_out = [COLUMN[name] for name in without]
    ranker, everything, fresh = Ranker(), [], []
    for number, example in enumerate(examples):
        values = example.features.astype(np.float32)
        values[:, left_out] = 0.0
        seen = example._replace(features=values)
        if 2 * number >= len(examples):
            logits = ranker.logits(seen)
            everything.append(ndcg(logits, seen))
            new = seen.only(~seen.had)
            fresh.append(ndcg(logits[~seen.had], new) if new.chosen.any() else np.nan)
        ranker.learn(bounded(seen, Learning().candidates))
    return np.array(everything), np.array(fresh), ranker


def by_fusion(examples: Sequence[Example], feature: int) -> tuple[Floats, Floats]:
    """The same of a ranking by one feature, without learning."""
    half = examples[(len(examples) + 1) // 2 :]
    everything = [ndcg(example.features[:, feature].astype(np.float64), example) for example in half]
    parts = [
        (example.features[~example.had, feature].astype(np.float64), example.only(~example.had)) for example in half
    ]
    return np.array(everything), np.array([ndcg(score, new) if new.chosen.any() else np.nan for score, new in parts])


def row(name: str, found: tuple[Floats, Floats], whole: tuple[Floats, Floats]) -> str:
    """A line of the table."""
    cells = []
    for values, others in zip(found, whole, strict=True):
        difference = (values - others)[~np.isnan(values)]
        drawn = np.random.default_rng(0).integers(0, len(difference), (DRAWS, len(difference)))
        low, high = np.percentile(difference[drawn].mean(axis=1), [2.5, 97.5])
        cells.append(f"{np.nanmean(values):.4f} | {difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("paths", nargs="+", metavar="LOG")
    parser.add_argument("--sampling", type=float, default=1.0)
    given = parser.parse_args()
    examples = asyncio.run(examples_of(given.paths, given.sampling))
    print(f"{len(examples):,} examples, the last half of them judged\n")
    print("| | NDCG@20 | against all | new: NDCG@20 | against all |\n|---|---|---|---|---|")
    *whole, ranker = judged(examples, ())
    both = whole[0], whole[1]
    print(row("**all features**", both, both), flush=True)
    print(row("fusion, nothing learnt", by_fusion(examples, FUSED), both))
    print(row("popularity, nothing learnt", by_fusion(examples, COLUMN["popularity_log"]), both), flush=True)
    parts = {f"without the channel {channel.value}": channel for channel in Channel if channel is not Channel.FRESH}
    rows = {
        name: [
            feature.name for feature in FEATURES if feature.channel is channel and feature.name not in ("fused", "bias")
        ]
        for name, channel in parts.items()
    } | {f"without {name}": names for name, names in GROUPS.items()}
    spread = np.std(np.concatenate([example.features.astype(np.float32) for example in examples[-500:]]), axis=0)
    worth = np.abs(ranker.weights).max(axis=0) * spread
    weaker = [FEATURES[place].name for place in np.argsort(worth)[: len(FEATURES) // 2]]
    for name, names in (rows | {"without the weaker half": weaker}).items():
        *found, _ = judged(examples, names)
        print(row(name, (found[0], found[1]), both), flush=True)
    print("\nBy largest weight times spread, strongest first:")
    print(", ".join(f"{FEATURES[place].name} {worth[place]:.2f}" for place in np.argsort(-worth)))


if __name__ == "__main__":
    main()
