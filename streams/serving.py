"""Answers from the shared state and the copied profiles: what a shopper should be shown, what is like an item. No HTTP.

Any process that has both answers for any shopper, with the recommender and the policy of the workers.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from index.base import Vectors
from streams.core.events import WEIGHTS, Arrival, EventType, Interaction
from streams.core.policy import Policy
from streams.core.profile import Profile, absorb
from streams.core.rules import Rule
from streams.portrait import as_of
from streams.profile_replica import ProfileReplica
from streams.recommender import Shopper, Slate, recommend
from streams.records import CatalogueItem
from streams.replicas import Replica
from streams.topics import Topics

OVERSAMPLE = 3
"""So many times what is wanted is asked of the index, for what cannot be bought falls out."""


class Wish(NamedTuple):
    """What a request wants other than the policy says. Requests with equal wishes are recommended to together."""

    size: int | None = None
    diversity: float | None = None
    rules: tuple[Rule, ...] = ()
    context: tuple[str, ...] = ()


class Question(NamedTuple):
    """A shopper, and what is wanted."""

    shopper: str
    wish: Wish


class Answer(NamedTuple):
    """A slate for a shopper, the event time (Unix ms) and the offsets it rests on."""

    slate: Slate
    time: int
    as_of: Mapping[str, int]


class Near(NamedTuple):
    """Items with their cosines, best first."""

    items: list[str]
    cosines: list[float]


class EncodesItems(Protocol):
    """`streams.items.ItemEncoder`."""

    @property
    def id(self) -> str: ...
    async def encode(self, items: Sequence[CatalogueItem]) -> Vectors: ...


class Serving:
    """Answers questions.

    Args:
        replica: the shared state.
        profiles: gives the copy of the profiles.
        policy: of the workers.
        topics: of the shop.
    """

    def __init__(
        self, replica: Replica, profiles: Callable[[], ProfileReplica], policy: Policy, topics: Topics
    ) -> None:
        self.replica = replica
        self.policy = policy
        self._profiles = profiles
        self._events = topics.events.name

    async def recommend(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, in order.

        Raises:
            StoreError, ContractError: a profile cannot be read.
        """
        answers: dict[int, Answer] = {}
        by_wish: dict[Wish, list[int]] = {}
        for place, question in enumerate(questions):
            by_wish.setdefault(question.wish, []).append(place)
        for wish, places in by_wish.items():
            found = await self._alike([questions[place].shopper for place in places], wish)
            answers |= zip(places, found, strict=True)
        return [answers[place] for place in range(len(questions))]

    async def _alike(self, shoppers: Sequence[str], wish: Wish) -> list[Answer]:
        shared = dict(self.replica.as_of)
        known = [self._profiles().get(shopper) for shopper in shoppers]
        profiles = [_with_context(profile, wish.context) for profile, _ in known]
        asked = [Shopper(profile, as_of(profile)) for profile in profiles]
        slates = await recommend(asked, self.replica, self._policy(wish))
        return [
            Answer(
                slate,
                as_of(profile),
                shared if partition is None else {**shared, f"{self._events}/{partition}": profile.offset},
            )
            for slate, (profile, partition) in zip(slates, known, strict=True)
        ]

    def _policy(self, wish: Wish) -> Policy:
        return dataclasses.replace(
            self.policy,
            size=self.policy.size if wish.size is None else wish.size,
            diversity=self.policy.diversity if wish.diversity is None else wish.diversity,
            rules=(*self.policy.rules, *wish.rules),
            excluded=self.policy.excluded | frozenset(wish.context),
        )

    async def similar(self, item: str, count: int) -> Near:
        """Items like an item, those that can be bought; none for an item without a vector."""
        query = await self.replica.vectors([item])
        return await self.nearest(query, count, but={item}) if query.any() else Near([], [])

    async def nearest(self, query: Vectors, count: int, but: Collection[str] = ()) -> Near:
        """Items near to a vector, those that can be bought.

        Args:
            query: float32 (1, dim), not zero.
            count: how many.
            but: items to leave out.
        """
        (found,) = await self.replica.nearest(query, OVERSAMPLE * count + len(but))
        items = [item for item in found if item not in but and self.replica.available(item)][:count]
        vectors = await self.replica.vectors(items)
        cosines = vectors @ (query[0] / np.linalg.norm(query[0])) if items else []
        return Near(items, [round(float(cosine), 4) for cosine in cosines])

    def also_bought(self, item: str, count: int, now: int) -> list[str]:
        """Items that are had together with an item, those that can be bought; `now` is in Unix milliseconds."""
        ranked = self.replica.neighbourhood.top({item: 1.0}, now, OVERSAMPLE * count + 1)
        return [found for found in ranked if found != item and self.replica.available(found)][:count]

    def trending(self, count: int, category: str | None) -> list[str]:
        """The items most is done with, best first; of a finest category, if one is given."""
        replica = self.replica
        ranked = replica.board.top(len(replica.facts)) if category else replica.board.top(OVERSAMPLE * count)
        wanted = (
            item
            for item in ranked
            if replica.available(item) and (category is None or replica.facts[item].category == category)
        )
        return list(islice(wanted, count))


class TextSearch:
    """Text to vectors: as those of items of which nothing but a title is known.

    Args:
        encoder: that made the items' vectors.
    """

    def __init__(self, encoder: EncodesItems) -> None:
        self.model = encoder.id
        self._encoder = encoder

    async def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """float32 (dim,), of unit length, of each text."""
        return list(await self._encoder.encode([CatalogueItem(id="query", title=text) for text in texts]))


def _with_context(profile: Profile, items: Sequence[str]) -> Profile:
    """The profile as if the shopper had just viewed some items, the last one last."""
    if not items:
        return profile
    now, weight = as_of(profile), WEIGHTS[EventType.VIEW]
    views = [
        Arrival(profile.offset + place, "", Interaction(item, EventType.VIEW, weight, now))
        for place, item in enumerate(items, start=1)
    ]
    return absorb(profile, views, profile.offset + len(items))
