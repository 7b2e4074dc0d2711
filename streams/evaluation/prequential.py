"""Test, then learn: every moment of the log is predicted from the state before it, and learnt from after.

Dawid, "Present position and potential developments: the prequential approach", JRSS A 1984.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streams.core.policy import Policy
from streams.evaluation.log import EventSet, Log
from streams.evaluation.metrics import novelty
from streams.evaluation.past import Learner, Past, Places, Query
from streams.evaluation.questions import Question, Reading, Targets
from streams.evaluation.state import State
from streams.recommender import Shopper, recommend

SIZE = 20
"""Length of the lists that are judged."""


class Contender(Protocol):
    """Somebody who is asked."""

    @property
    def name(self) -> str: ...
    @property
    def learners(self) -> tuple[Learner, ...]:
        """What has to follow the log for it."""
        ...

    async def rank(self, queries: Sequence[Query], size: int) -> list[Places]:
        """For each query at most `size` catalogue places, best first."""
        ...


class PolicyContender:
    """A policy on the live recommender: `recommend` over the state that the live handlers fold."""

    def __init__(self, policy: Policy, state: State, items: Sequence[str], name: str = "") -> None:
        """`items`: ids in the order of the catalogue; `name`: shown instead of the policy's own."""
        self.name = name or policy.name
        self.learners: tuple[Learner, ...] = (state,)
        self._policy = policy
        self._state = state
        self._items = items
        self._places = {item: place for place, item in enumerate(items)}

    async def rank(self, queries: Sequence[Query], size: int) -> list[Places]:
        """See `Contender`. What is barred is excluded by the policy, so that it takes no place from anything."""
        lists = []
        for query in queries:
            barred = self._policy.excluded.union(self._items[place] for place in query.barred)
            shopper = Shopper(self._state.profile(query.user), query.time, user=query.user)
            (slate,) = await recommend([shopper], self._state.replica, replace(self._policy, excluded=barred))
            lists.append(np.array([self._places[entry.item] for entry in slate.items[:size]], np.int64))
        return lists


class Answers(NamedTuple):
    """What a contender said: int32 (questions, SIZE) catalogue places padded with -1, and how new it was."""

    lists: npt.NDArray[np.int32]
    novelty: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """Everybody's answers.

    Attributes:
        questions: what was asked, in the order of the log.
        answers: by contender.
        ask_us: mean microseconds of an answer, by contender.
        learn_us: mean microseconds that an event took to be learnt, by contender; shared learners count for each.
    """

    questions: list[Question]
    answers: dict[str, Answers]
    ask_us: dict[str, float]
    learn_us: dict[str, float]


@dataclass(slots=True)
class _Book:
    lists: list[Places] = field(default_factory=list)
    novelty: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def answers(self) -> Answers:
        lists = np.full((len(self.lists), SIZE), -1, np.int32)
        for row, shown in zip(lists, self.lists, strict=True):
            row[: len(shown)] = shown
        return Answers(lists, np.array(self.novelty))


async def run(
    log: Log,
    questions: Sequence[Question],
    reading: Reading,
    contenders: Sequence[Contender],
    past: Past,
    tick: Callable[[int], None] = lambda events: None,
) -> Trial:
    """Ask the questions of a log, each from the state before its moment.

    Args:
        log: the log.
        questions: as `questions.ask` gives them.
        reading: how they were asked for.
        contenders: who is asked.
        past: tells how well known an item is; it learns even if no contender uses it.
        tick: told the number of events of every moment that is done.
    """
    due = {question.number: question for question in questions}
    learners = dict.fromkeys([*(learner for contender in contenders for learner in contender.learners), past])
    books = {contender.name: _Book() for contender in contenders}
    spent: dict[Learner, float] = defaultdict(float)
    had: dict[str, set[int]] = defaultdict(set)
    number = 0
    for moment in log.moments():
        asked = [due[place] for place in range(number, number + len(moment)) if place in due]
        if asked:
            for learner in learners:
                started = time.perf_counter()
                await learner.settle()
                spent[learner] += time.perf_counter() - started
            await _ask(asked, contenders, books, had if reading.targets is Targets.FIRST_TIME else {}, past)
        for learner in learners:
            started = time.perf_counter()
            learner.learn(moment)
            spent[learner] += time.perf_counter() - started
        _remember(had, moment, past)
        number += len(moment)
        tick(sum(len(happened.events) for happened in moment))
    return Trial(
        list(questions),
        {name: book.answers() for name, book in books.items()},
        {name: 1e6 * book.seconds / max(len(questions), 1) for name, book in books.items()},
        {c.name: 1e6 * sum(spent[one] for one in c.learners) / max(len(log.events), 1) for c in contenders},
    )


async def _ask(
    asked: Sequence[Question],
    contenders: Sequence[Contender],
    books: dict[str, _Book],
    had: dict[str, set[int]],
    past: Past,
) -> None:
    queries = [Query(one.user, one.time, np.fromiter(sorted(had.get(one.user, ())), np.int64)) for one in asked]
    for contender in contenders:
        started = time.perf_counter()
        lists = await contender.rank(queries, SIZE)
        book = books[contender.name]
        book.seconds += time.perf_counter() - started
        book.lists += lists
        book.novelty += [novelty(shown.astype(np.int32), past.counts) for shown in lists]


def _remember(had: dict[str, set[int]], moment: Sequence[EventSet], past: Past) -> None:
    for happened in moment:
        items = (event.item for event in happened.events if event.item is not None)
        had[happened.user].update(past.places[item] for item in items if item in past.places)
