"""What became of each user: figures of one metric, user by user, for telling who gains from a policy and who loses."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.evaluation import metrics
from streams.evaluation.prequential import Trial

LEVEL = 1e-9
"""Differences below it are none."""


class UserFigures(NamedTuple):
    """The mean of a metric over a user's sets, by contender."""

    user: str
    sets: int
    values: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        values = {name: round(value, 6) for name, value in self.values.items()}
        return {"user": self.user, "sets": self.sets, "values": values}


class Tally(NamedTuple):
    """How many users a contender serves better than another does, worse, and alike."""

    better: int
    worse: int
    alike: int


def by_user(trial: Trial, places: Mapping[str, int], metric: str = "ndcg", cut: int = 20) -> list[UserFigures]:
    """Figures of every user, by user id. `places`: item id → place in the catalogue."""
    targets = [[places[item] for item in question.targets] for question in trial.questions]
    names, owners = np.unique([question.user for question in trial.questions], return_inverse=True)
    sets = np.bincount(owners, minlength=len(names))
    means = {}
    for contender, answers in trial.answers.items():
        measured = metrics.measure(metric, metrics.ranks(targets, answers.lists), cut)
        sums = np.bincount(owners, measured.sums, len(names))
        means[contender] = sums / np.bincount(owners, measured.counts, len(names))
    return [
        UserFigures(str(user), int(sets[place]), {name: float(mean[place]) for name, mean in means.items()})
        for place, user in enumerate(names)
    ]


def differences(users: Sequence[UserFigures], one: str, other: str) -> list[float]:
    """What one contender has more than another, user by user."""
    return [figures.values[one] - figures.values[other] for figures in users]


def tally(found: Sequence[float]) -> Tally:
    """Count differences by their sign."""
    better = sum(difference > LEVEL for difference in found)
    worse = sum(difference < -LEVEL for difference in found)
    return Tally(better, worse, len(found) - better - worse)
