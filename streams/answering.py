"""Answers to questions in plain words, from the shared state: what fits, in the words of templates. No Kafka, no HTTP.

    question ─► plan ─► near items, the shopper's taste ─► choice ─► views of records ─► template ─► answer

Nothing is said that is not in the record of a cited item or in the question; what is not known is said to be unknown.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from index.base import Vectors
from streams.agents.answers import Asked
from streams.choosing import NEAREST, Case, choose, rules_of, sought
from streams.core.answers import grounding
from streams.core.answers.grounding import Item
from streams.core.answers.plan import Kind, Plan
from streams.core.answers.reading import discreet, read
from streams.core.profile import Profile
from streams.core.rules import written
from streams.core.rules.syntax import Condition, Include
from streams.core.rules.tokens import MAX_LENGTH
from streams.records import Answer, AnswerItem, Quotation
from streams.replicas import Facts, Replica
from streams.serving import NoEncoderError, Phrase, Serving, TextSearch, Wish
from streams.serving import Question as Wanted
from streams.wording import Answered, Wording

TASTED = 50
"""Items that are recommended to a shopper, to order by taste what fits."""

_SAYS_NOTHING = Profile()
_FOUND = (Kind.FIND, Kind.ALTERNATIVES)


class Answerer:
    """Answers questions.

    Args:
        serving: the shared state, whose replica has a lexicon, and the profiles.
        search: encodes texts; None for finding by words alone.
        wording: the templates.
        repeats: whether an answer may repeat words of its question that the catalogue does not know; they may be
            anything, so not where shoppers are known by pseudonym.
    """

    def __init__(self, serving: Serving, search: TextSearch | None, wording: Wording, *, repeats: bool = True) -> None:
        if serving.replica.lexicon is None:
            raise ValueError("the replica keeps no lexicon")
        self._lexicon = serving.replica.lexicon
        self._serving = serving
        self._search = search
        self._wording = wording
        self._repeats = repeats

    async def answer(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer per question, in order, all by one model.

        Raises:
            StoreError, ContractError: a profile cannot be read.
        """
        replica = self._serving.replica.pinned()
        as_of = replica.rests_on()
        plans = [read(one.text, self._lexicon) for one in asked]
        plans = plans if self._repeats else list(map(discreet, plans))
        queries = await self._queries(plans, replica)
        near = await self._near(queries, replica)
        tastes = await self._tastes(asked, plans, replica)
        answers = []
        for place, (one, plan) in enumerate(zip(asked, plans, strict=True)):
            profile = self._serving.profile(one.shopper) if one.shopper else _SAYS_NOTHING
            case = Case(plan, profile, near.get(place, []), tastes[place], one.n)
            case = await self._farther(case, queries.get(place), replica)
            answers.append(self._answer(one, case, replica, as_of))
            await asyncio.sleep(0)  # many questions that come together are not to hold up the rest
        return answers

    async def _queries(self, plans: Sequence[Plan], replica: Replica) -> dict[int, Vectors]:
        """By the place of a plan, the vector of what it is about, float32 (dim,); none where nothing is searched."""
        if not replica.searchable:
            return {}
        queries: dict[int, Vectors] = {}
        texts = [place for place, plan in enumerate(plans) if _by_text(plan)]
        if texts and self._search is not None:
            try:
                vectors = await self._search.vectors([Phrase(plans[place].text, replica.model) for place in texts])
            except NoEncoderError:
                vectors = []  # words will have to do
            queries |= zip(texts, vectors, strict=False)
        items = [place for place, plan in enumerate(plans) if plan.named and plan.kind in (*_FOUND, Kind.STOCK)]
        rows = await replica.vectors([plans[place].named[0] for place in items])
        for place, row in zip(items, rows, strict=True):
            if row.any():
                queries.setdefault(place, row)
        return queries

    async def _near(self, queries: Mapping[int, Vectors], replica: Replica) -> dict[int, list[str]]:
        """For each query, the items nearest to it, best first."""
        if not queries:
            return {}
        found = await replica.nearest(np.stack(list(queries.values())), NEAREST)
        return dict(zip(queries, found, strict=True))

    async def _farther(self, case: Case, query: Vectors | None, replica: Replica) -> Case:
        """The case with items from farther away, where it lacks some: the index is told what they have to meet."""
        if query is None and replica.searchable and case.plan.kind is Kind.FIND and not case.plan.text:
            query = np.ones_like((await replica.vectors([""]))[0])  # one place is as good as another
        if query is None:
            return case
        for wanted in sought(case, replica, self._serving.policy):
            near = await self._serving.nearest(
                query[None], NEAREST, replica, wanted.rules, met=wanted.fits, within=wanted.within
            )
            if near.items:
                return dataclasses.replace(case, near=list(dict.fromkeys([*case.near, *near.items])))
        return case

    async def _tastes(self, asked: Sequence[Asked], plans: Sequence[Plan], replica: Replica) -> list[list[str]]:
        """For each question that looks for items, what would be recommended to whoever asks, best first."""
        wanted = {
            place: Wanted(one.shopper or "", Wish(size=TASTED, rules=rules_of(plan.condition)))
            for place, (one, plan) in enumerate(zip(asked, plans, strict=True))
            if plan.kind is Kind.FIND and (one.shopper or not plan.text)
        }
        slates = await self._serving.recommend(list(wanted.values()), replica) if wanted else []
        found = dict(zip(wanted, slates, strict=True))
        return [
            [item.item for item in found[place].slate.items] if place in found else [] for place in range(len(plans))
        ]

    def _answer(self, asked: Asked, case: Case, replica: Replica, as_of: Mapping[str, int]) -> Answer:
        plan, found = case.plan, choose(case, replica, self._serving.policy)
        kind = found.kind
        facts = {item: replica.facts[item] for item in (*found.items, *found.alternatives)}
        items = [grounding.view(item, facts[item], plan.focus) for item in found.items]
        others = [grounding.view(item, facts[item]) for item in found.alternatives]
        compared = [facts[item] for item in found.items] if kind is Kind.COMPARE else []
        language = self._wording.language(asked.language, plan.language)
        text, quotes = self._wording.render(
            language,
            kind,
            Answered(
                items=items,
                alternatives=others,
                rows=grounding.rows(items) if compared else [],
                cheaper=grounding.least(items, compared) if compared else None,
                better_rated=grounding.best(items, compared) if compared else None,
                unmet=[grounding.asked(word) for word in plan.unmet],
                exact=found.exact,
                more=found.more,
                personal=bool(asked.shopper and case.taste),
            ),
        )
        return Answer(
            id=answer_id(asked.id, asked.shopper),
            question=asked.id,
            user=asked.shopper,
            time=asked.time,
            kind=kind.value,
            language=language,
            text=text,
            exact=found.exact,
            items=_cited(items, facts) + _cited(others, facts, alternative=True),
            quotes=[Quotation(quote.item, quote.field, quote.text) for quote in quotes],
            filter=_filter(plan.condition) if kind in _FOUND else None,
            as_of=dict(as_of),
            model=replica.model if case.near else "",
            policy=self._serving.policy.name,
        )


def answer_id(question: str, shopper: str | None) -> str:
    """The id of the answer to a question: 32 hex digits."""
    return blake2b(f"{shopper or ''}\0{question}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _by_text(plan: Plan) -> bool:
    """Whether the items near to the question's own words are wanted."""
    return bool(plan.text) and (plan.kind is Kind.FIND or (plan.foreign and plan.kind is not Kind.UNKNOWN))


def _filter(condition: Condition | None) -> str | None:
    """A condition as text that can be parsed again; None for one that would be too long for that."""
    text = "" if condition is None else written(Include(condition)).removeprefix("include ")
    return text if 0 < len(text) <= MAX_LENGTH else None


def _cited(items: Sequence[Item], facts: Mapping[str, Facts], *, alternative: bool = False) -> list[AnswerItem]:
    return [
        AnswerItem(item.id.item, own.title, own.available, own.price, own.currency, alternative)
        for item in items
        for own in [facts[item.id.item]]
    ]
