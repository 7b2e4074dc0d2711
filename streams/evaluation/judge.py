"""A trial in figures: every metric of every contender on every slice, with intervals and differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index.base import Vectors
from streams.evaluation import metrics
from streams.evaluation.bootstrap import Interval, interval, resample
from streams.evaluation.metrics import ACCURACY, CUTS, Measured, Ranks
from streams.evaluation.prequential import Answers, Trial
from streams.evaluation.questions import COLD_ITEM, COLD_USER, Question

Mask = npt.NDArray[np.bool_]

SLICES = {
    "returning": "users with a past",
    "all": "everyone, newcomers too",
    "cold-users": f"users with fewer than {COLD_USER} events",
    "cold-items": f"targets with fewer than {COLD_ITEM} interactions",
    "cold-items-of-returning": "these, of users with a past",
}
"""Parts of the questions, and in words."""

METRICS = [(metric, cut) for metric in ACCURACY for cut in CUTS]


class Figure(NamedTuple):
    """A value with its interval; None where there is nothing to judge."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """One slice.

    Attributes:
        sets: how many sets are in it.
        targets: how many targets.
        users: how many users.
        figures: contender → (metric, cut) → figure.
        leads: contender → (metric, cut) → the first contender's figure minus this one's; nothing for the first.
    """

    sets: int
    targets: int
    users: int
    figures: dict[str, dict[tuple[str, int], Figure]]
    leads: dict[str, dict[tuple[str, int], Figure]]


class Reach(NamedTuple):
    """What lists are like, apart from being right: over all of a contender's lists, at 20."""

    coverage: float
    diversity: float
    novelty: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All figures of a trial: by slice, and by contender."""

    slices: dict[str, SliceVerdict]
    reach: dict[str, Reach]


def judge(trial: Trial, places: dict[str, int], vectors: Vectors) -> Verdict:
    """Judge a trial.

    Args:
        trial: everybody's answers.
        places: item id → place in the catalogue.
        vectors: float32 (items, dim), unit rows, in the order of the catalogue: what items are like.
    """
    targets = [[places[item] for item in question.targets] for question in trial.questions]
    ranks = {name: metrics.ranks(targets, answers.lists) for name, answers in trial.answers.items()}
    users = np.unique([question.user for question in trial.questions], return_inverse=True)[1].astype(np.int64)
    return Verdict(
        {name: _slice(ranks, mask, users) for name, mask in _masks(trial.questions).items()},
        {name: _reach(answers, vectors) for name, answers in trial.answers.items()},
    )


def _masks(questions: Sequence[Question]) -> dict[str, Mask]:
    """Which targets are in each slice, bool (targets,)."""
    sizes = [len(question.targets) for question in questions]
    history = np.repeat([question.history for question in questions], sizes)
    ages = np.array([age for question in questions for age in question.ages])
    return {
        "returning": history > 0,
        "all": np.ones(len(ages), bool),
        "cold-users": history < COLD_USER,
        "cold-items": ages < COLD_ITEM,
        "cold-items-of-returning": (ages < COLD_ITEM) & (history > 0),
    }


def _slice(ranks: dict[str, Ranks], mask: Mask, users: npt.NDArray[np.int64]) -> SliceVerdict:
    parts = {name: one.only(mask) for name, one in ranks.items()}
    places = next(iter(parts.values()))[1]
    measured = {
        name: [metrics.measure(metric, part, cut) for metric, cut in METRICS] for name, (part, _) in parts.items()
    }
    flat = [one for several in measured.values() for one in several]
    drawn = resample(flat, users[places]).reshape(len(measured), len(METRICS), -1)
    figures, leads = {}, {}
    first = next(iter(measured))
    for number, (name, several) in enumerate(measured.items()):
        figures[name] = _figures(several, drawn[number])
        if name != first:
            leads[name] = {
                key: Figure(_minus(one, other), interval(difference))
                for key, one, other, difference in zip(
                    METRICS, measured[first], several, drawn[0] - drawn[number], strict=True
                )
            }
    return SliceVerdict(len(places), int(mask.sum()), len(np.unique(users[places])), figures, leads)


def _figures(several: Sequence[Measured], drawn: npt.NDArray[np.float64]) -> dict[tuple[str, int], Figure]:
    return {key: Figure(one.value, interval(values)) for key, one, values in zip(METRICS, several, drawn, strict=True)}


def _minus(one: Measured, other: Measured) -> float | None:
    return None if one.value is None or other.value is None else one.value - other.value


def _reach(answers: Answers, vectors: Vectors) -> Reach:
    spread = [metrics.diversity(shown[shown >= 0], vectors) for shown in answers.lists]
    return Reach(
        metrics.coverage(answers.lists, len(vectors)),
        float(np.mean(spread)) if spread else 0.0,
        float(answers.novelty.mean()) if len(answers.novelty) else 0.0,
    )
