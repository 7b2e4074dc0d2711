"""What each part of an item's vector is worth: text parts, category, brand, price; and all without the weaker half.

    python -m benchmarks.datasets grocer --households 400 --products 8000 GROCER
    python -m benchmarks.datasets giftshop FILE GIFTS
    python -m benchmarks.item_features GROCER GIFTS [--model NAME]

A user's next set is predicted by content alone: the items nearest to the last one, and nearest to the mean of all that
the user had. Targets are those that are new to the user; what the user had is left out of the lists. Weights are chosen
on the sets between 25 % and 60 % of the log, one part after the other (greedy), and everything is then reported on the
sets behind 60 %: hit rate and NDCG at 20, and the NDCG's difference to the default recipe with a 95 % interval over
users (paired bootstrap). Neither shop has descriptions, attributes, ratings, pictures or items that cannot be bought.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from encoders.models import DEFAULT, load_encoder
from streams.core.itemfeatures import Block
from streams.edge import limits_of
from streams.evaluation import log as logs
from streams.evaluation import metrics, questions
from streams.evaluation.bootstrap import interval, resample
from streams.evaluation.log import Log
from streams.evaluation.metrics import Measured
from streams.evaluation.past import spoken_for
from streams.evaluation.questions import Reading, Targets
from streams.evaluation.study import TOPICS
from streams.items import ItemEncoder, Recipe, TextPart
from streams.records import CatalogueItem
from streams.settings import Settings

CUT = 20
CHOOSE, REPORT = (0.25, 0.6), (0.6, 1.0)
WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
PARTS = (Block.CATEGORY, Block.BRAND, Block.PRICE)
TEMPLATES = (
    (TextPart.TITLE,),
    (TextPart.TITLE, TextPart.BRAND),
    (TextPart.TITLE, TextPart.CATEGORY),
    Recipe().text,
)
Items = list[CatalogueItem]


@dataclass(frozen=True)
class Asked:
    """Sets to predict, with what is known before each: catalogue places."""

    users: np.ndarray
    targets: list[list[int]]
    had: list[list[int]]
    """Everything the user dealt with, oldest first."""


def asked(log: Log, places: Mapping[str, int], part: tuple[float, float], limit: int) -> Asked:
    wanted = {q.number: q for q in questions.ask(log, frozenset(places), Reading(Targets.FIRST_TIME, start=part[0]))}
    end = log.events[min(int(part[1] * len(log.events)), len(log.events) - 1)].time
    trails: defaultdict[str, list[int]] = defaultdict(list)
    users, targets, had = [], [], []
    number = 0
    for moment in log.moments():
        for happened in moment:
            question = wanted.get(number)
            if question is not None and question.time < end and trails[happened.user]:
                users.append(happened.user)
                targets.append([places[item] for item in question.targets])
                had.append(list(trails[happened.user]))
            number += 1
        for happened in moment:
            trails[happened.user].extend(spoken_for(happened, places))
    drawn = np.sort(np.random.default_rng(0).permutation(len(users))[:limit])
    codes = np.unique([users[i] for i in drawn], return_inverse=True)[1]
    return Asked(codes, [targets[i] for i in drawn], [had[i] for i in drawn])


def measured(vectors: np.ndarray, sets: Asked) -> list[Measured]:
    """NDCG and hit rate of the last item, then of the mean profile."""
    last = np.array([vectors[items[-1]] for items in sets.had])
    mean = np.array([vectors[items].sum(axis=0) for items in sets.had])
    found = []
    for queries in (last, mean):
        lists = np.full((len(queries), CUT), -1, np.int32)
        for start in range(0, len(queries), 256):
            scores = queries[start : start + 256] @ vectors.T
            for row, items in enumerate(sets.had[start : start + 256]):
                scores[row, items] = -np.inf
            best = np.argpartition(-scores, CUT, axis=1)[:, :CUT]
            order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
            lists[start : start + 256] = np.take_along_axis(best, order, axis=1)
        ranks = metrics.ranks(sets.targets, lists)
        found += [metrics.measure(metric, ranks, CUT) for metric in ("ndcg", "hit_rate")]
    return found


class Shop:
    """A shop's catalogue and log, and the vectors of its texts, encoded once a template."""

    def __init__(self, folder: Path, model: str) -> None:
        settings = Settings()
        paths = [str(folder / name) for name in ("catalogue.jsonl", "events.jsonl")]
        names = TOPICS.catalogue.name, TOPICS.events.name
        log = asyncio.run(logs.read(paths, limits_of(settings), names, print))
        self.name = folder.name
        self.items: Items = [msgspec.json.decode(record.value or b"", type=CatalogueItem) for record in log.catalogue]
        places = {item.id: place for place, item in enumerate(self.items)}
        self.choosing = asked(log, places, CHOOSE, 1_000)
        self.reporting = asked(log, places, REPORT, 3_000)
        self._encoder = load_encoder(model, settings.cache_dir)
        self._texts: dict[tuple[TextPart, ...], np.ndarray] = {}
        self.plain = measured(self.vectors(Recipe()), self.choosing)

    def vectors(self, recipe: Recipe) -> np.ndarray:
        if recipe.text not in self._texts:
            plain = ItemEncoder(self._encoder, Recipe(recipe.text))
            self._texts[recipe.text] = asyncio.run(plain.encode(self.items))
        return recipe.fuse(self._texts[recipe.text], self.items)


def score(shops: Sequence[Shop], recipe: Recipe) -> float:
    """What is chosen by: NDCG of both readers together as a ratio to the default recipe's, geometric mean of shops.

    Shops count alike, however hard they are to foresee; within one, a reader counts by what it finds.
    """
    logs = []
    for shop in shops:
        here = measured(shop.vectors(recipe), shop.choosing)
        logs.append(np.log(sum(one.sums.sum() for one in here[::2]) / sum(one.sums.sum() for one in shop.plain[::2])))
    return float(np.exp(np.mean(logs)))


def weighed(recipe: Recipe, **parts: float) -> Recipe:
    return replace(recipe, weights={**recipe.weights, **{Block(name): weight for name, weight in parts.items()}})


def greedy(shops: Sequence[Shop], text: tuple[TextPart, ...]) -> tuple[list[Recipe], Recipe]:
    """The best recipe with each part alone, and the best of all, built part by part while it helps."""
    best, reached, alone = Recipe(text), score(shops, Recipe(text)), []
    left = list(PARTS)
    while left:
        tried = {}
        for part in left:
            options = [weighed(best, **{part.value: weight}) for weight in WEIGHTS]
            tried[part] = max(((score(shops, option), option) for option in options), key=lambda pair: pair[0])
        if not alone:
            alone = [option for _, option in tried.values()]
        part = max(tried, key=lambda one: tried[one][0])
        if tried[part][0] <= reached:
            break
        reached, best = tried[part]
        left.remove(part)
    return alone, best


def report(shop: Shop, rows: Mapping[str, Recipe]) -> None:
    sets = shop.reporting
    print(f"\n{shop.name}: {len(shop.items):,} items, {len(sets.targets):,} sets of {sets.users.max() + 1:,} users")
    print(f"{'':70} {'last item':>24} {'mean profile':>32}")
    plain = measured(shop.vectors(Recipe()), sets)
    for name, recipe in rows.items():
        here = measured(shop.vectors(recipe), sets)
        drawn = resample([*here[::2], *plain[::2]], sets.users)
        cells = []
        for reader in range(2):
            spread = interval(drawn[reader] - drawn[reader + 2])
            assert spread is not None
            difference = (here[2 * reader].value or 0) - (plain[2 * reader].value or 0)
            cells.append(
                f"{here[2 * reader + 1].value:.4f} {here[2 * reader].value:.4f} "
                f"{difference:+.4f} [{spread[0]:+.4f}, {spread[1]:+.4f}]"
            )
        print(f"{name:70} " + "  ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default=DEFAULT)
    given = parser.parse_args()
    shops = [Shop(folder, given.model) for folder in given.folders]
    rows = {". ".join(text): Recipe(text) for text in TEMPLATES}
    text = max(TEMPLATES, key=lambda template: score(shops, Recipe(template)))
    alone, best = greedy(shops, text)
    rows |= {recipe.name: recipe for recipe in alone}
    rows |= {f"chosen: {best.name}": best}
    _, longer = greedy(shops, Recipe().text)
    rows |= {f"chosen for the default text: {longer.name}": longer}
    everything = replace(best, weights={block: weight for recipe in alone for block, weight in recipe.weights.items()})
    rows |= {"all parts": everything}
    worth = {
        block: score(shops, everything) - score(shops, replace(everything, weights={**everything.weights, block: 0.0}))
        for block in PARTS
    }
    weaker = sorted(PARTS, key=worth.__getitem__)[: (len(PARTS) + 1) // 2]
    half = replace(everything, weights={block: w for block, w in everything.weights.items() if block not in weaker})
    rows |= {f"all parts but {', '.join(weaker)} (the weaker half)": half}
    print("ratio of NDCG to the default recipe, where weights were chosen:")
    for name, recipe in rows.items():
        print(f"  {score(shops, recipe):.3f}  {name}")
    for shop in shops:
        report(shop, rows)


if __name__ == "__main__":
    main()
