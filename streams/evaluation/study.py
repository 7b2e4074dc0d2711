"""An evaluation from a log to its verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.agents.ranker import Learning
from streams.core.policy import Policy
from streams.edge import Limits
from streams.errors import DataError
from streams.evaluation import baselines, prequential, questions, ruled
from streams.evaluation.judge import Verdict, judge
from streams.evaluation.log import Log
from streams.evaluation.past import Past
from streams.evaluation.prequential import Contender, PolicyContender, Trial
from streams.evaluation.questions import Reading
from streams.evaluation.state import State
from streams.items import ItemEncoder
from streams.topics import topics

TOPICS = topics(partitions=1)
"""An evaluation is a shop with one partition."""


@dataclass(frozen=True, slots=True)
class Study:
    """What to compare.

    Attributes:
        policies: the first one is held against everybody else.
        baselines: of `baselines.NAMES`.
        reading: how the log is read.
        learning: how the ranker learns.
    """

    policies: Sequence[Policy]
    baselines: Sequence[str]
    reading: Reading
    learning: Learning | None = None


class Findings(NamedTuple):
    """What came of it.

    `places`: the items that can be recommended, with their places in the catalogue. `notes`: what is worth knowing of
    the policies, in words.
    """

    trial: Trial
    verdict: Verdict
    places: dict[str, int]
    notes: list[str]


async def evaluate(
    log: Log, study: Study, limits: Limits, encoder: ItemEncoder, tick: Callable[[int], None] = lambda events: None
) -> Findings:
    """Run a study over a log; `tick` is told the number of events as they are done.

    Raises:
        DataError: the log has no item to recommend, or nothing to predict.
    """
    state = State(TOPICS, limits, encoder, study.policies[0], learning=study.learning)
    await state.stock(log.catalogue)
    items = [item for item in state.replica.facts if state.replica.available(item)]
    places = {item: place for place, item in enumerate(items)}
    asked = questions.ask(log, frozenset(items), study.reading)
    if not asked:
        raise DataError(
            f"nothing to predict: {len(items)} items can be recommended and {len(log.events)} events are in the log, "
            f"but none of those after the first {study.reading.start:.0%} is a target. "
            "Are catalogue and events of the same shop? See --from, --since, --targets and --types"
        )
    vectors = await state.vectors(items)
    past = Past(places)
    named = _names(study.policies)
    contenders: list[Contender] = [
        PolicyContender(policy, state, items, name) for policy, name in zip(study.policies, named, strict=True)
    ]
    contenders += baselines.build(study.baselines, past, vectors)
    trial = await prequential.run(log, asked, study.reading, contenders, past, tick)
    facts = [state.replica.facts[item] for item in items]
    notes = [note for policy in study.policies for note in ruled.notes(policy, items, facts)]
    notes += _taught_by_another(study.policies, named)
    return Findings(trial, judge(trial, places, vectors), places, notes)


def _taught_by_another(policies: Sequence[Policy], named: Sequence[str]) -> list[str]:
    """There is one ranker, and its examples are what the first policy proposes: of others they may be unlike."""
    first, *others = policies
    return [
        f"{name}: ranked by what was learnt from the candidates of {named[0]}, which are others than its own. Say "
        "--policy with it to have the ranker learn from these"
        for policy, name in zip(others, named[1:], strict=True)
        if policy.ranker and _proposes(policy) != _proposes(first)
    ]


def _proposes(policy: Policy) -> tuple[object, ...]:
    """What makes the candidates of an example, and their fused score."""
    return policy.pool, dict(policy.channel_weights), policy.interests, policy.fatigue, policy.rules, policy.excluded


def _names(policies: Sequence[Policy]) -> list[str]:
    """Names that are apart from each other and from the baselines."""
    taken = set(baselines.NAMES)
    names = []
    for policy in policies:
        name, number = policy.name, 2
        while name in taken:
            name, number = f"{policy.name} ({number})", number + 1
        taken.add(name)
        names.append(name)
    return names
