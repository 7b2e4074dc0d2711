"""Answers from the shared state and the copied profiles: what a shopper should be shown, what is like an item. No HTTP.

Any process that has both answers for any shopper, with the recommender and the policy of the workers.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from encoders.base import EncoderError
from index.attributes import ID, Filter
from index.base import Vectors
from streams.clock import now_ms
from streams.core.eligible import Eligibility
from streams.core.events import WEIGHTS, Arrival, EventType, Interaction
from streams.core.policy import Policy
from streams.core.profile import Profile, absorb
from streams.core.rules import Rule
from streams.errors import UpwellError
from streams.portrait import as_of
from streams.profile_replica import ProfileReplica
from streams.recommender import Shopper, Slate, recommend
from streams.records import CatalogueItem, ServedModel
from streams.replicas import Replica
from streams.topics import Topics

FOLLOW_S = 1.0
"""How often it is looked whether another model is to be loaded."""

RETRY_S = 60.0
"""A model that could not be loaded is tried again after so many seconds."""

OVERSAMPLE = 3
"""So many times what is wanted is asked of the index, for what cannot be bought falls out."""

WIDER = 4
"""So many times more is asked for where rules leave too few of what the index lets through."""

FARTHEST = 10_000
"""Where more would have to be asked for, the rules choose from the whole catalogue first."""

TOGETHER = 1_000
"""So many items are held against rules before others get their turn."""


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
    """A slate for a shopper, the event time (Unix ms), the model and the offsets it rests on."""

    slate: Slate
    time: int
    model: str
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


Meets = Callable[[Iterable[str]], Iterable[str]]
"""Those of some items of the catalogue that meet something, in their order."""

LoadEncoder = Callable[[str | None], EncodesItems]
"""Loads a model by name, None for the one that the settings name."""


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

    async def recommend(self, questions: Sequence[Question], replica: Replica | None = None) -> list[Answer]:
        """One answer per question, in order, all by one model.

        Args:
            questions: what is wanted, by whom.
            replica: pinned before, by who asks it for more; None for the model that serves now.

        Raises:
            StoreError, ContractError: a profile cannot be read.
        """
        replica = (replica or self.replica).pinned()
        answers: dict[int, Answer] = {}
        by_wish: dict[Wish, list[int]] = {}
        for place, question in enumerate(questions):
            by_wish.setdefault(question.wish, []).append(place)
        for wish, places in by_wish.items():
            found = await self._alike([questions[place].shopper for place in places], wish, replica)
            answers |= zip(places, found, strict=True)
        return [answers[place] for place in range(len(questions))]

    def profile(self, shopper: str) -> Profile:
        """What is known of a shopper. Raises StoreError, ContractError: it cannot be read."""
        return self._profiles().get(shopper).profile

    async def _alike(self, shoppers: Sequence[str], wish: Wish, replica: Replica) -> list[Answer]:
        shared = dict(replica.as_of)
        known = [self._profiles().get(shopper) for shopper in shoppers]
        # Of somebody new nothing has happened yet: it is the present that tells what is new, and what fades.
        nows = [as_of(profile) or now_ms() for profile, _ in known]
        asked = [
            Shopper(_with_context(profile, wish.context, now), now, user=shopper)
            for shopper, (profile, _), now in zip(shoppers, known, nows, strict=True)
        ]
        slates = await recommend(asked, replica, self._policy(wish))
        return [
            Answer(
                slate,
                as_of(profile),
                replica.model,
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

    async def similar(self, item: str, count: int, rules: Sequence[Rule] = ()) -> Near:
        """Items like an item, those that can be bought and meet the rules; none for an item without a vector."""
        replica = self.replica.pinned()
        query = await replica.vectors([item])
        return await self.nearest(query, count, replica, rules, but={item}) if query.any() else Near([], [])

    async def nearest(
        self,
        query: Vectors,
        count: int,
        replica: Replica,
        rules: Sequence[Rule] = (),
        but: Collection[str] = (),
        met: Meets | None = None,
        within: Filter | None = None,
    ) -> Near:
        """The items nearest to a vector that can be bought and meet the rules: as many as wanted, or all there are.

        Where the rules leave too few of the nearest, the index is asked for the nearest of those that they can leave.

        Args:
            query: float32 (1, dim), not zero.
            count: how many.
            replica: pinned to the model that made the vector.
            rules: on items; what they say of a shopper holds for nobody.
            but: items to leave out.
            met: which items meet the rules, and what else they have to; by default the rules alone, asked by nobody.
            within: what else of that the index can be told.
        """
        met = met or partial(_met, rules, replica)
        asked, where = OVERSAMPLE * count + len(but), None
        while True:
            (found,) = await replica.nearest(query, asked, where)
            good = (item for item in found if item not in but and replica.available(item))
            items = list(islice(met(good), count))
            if len(items) == count or len(found) < asked:
                break
            if where is None:
                where = replica.told.filter(rules)
                where = where if within is None else where.also(within)
            elif asked < FARTHEST:
                asked = min(FARTHEST, WIDER * asked)
            else:  # what the index was told says little of these rules
                asked, where = count + len(but), Filter.of({ID: await _all_met(met, replica)})
        vectors = await replica.vectors(items)
        cosines = vectors @ (query[0] / np.linalg.norm(query[0])) if items else []
        return Near(items, [round(float(cosine), 4) for cosine in cosines])

    def also_bought(self, item: str, count: int, now: int, rules: Sequence[Rule] = ()) -> list[str]:
        """Items that are had together with an item, those that can be bought and meet the rules.

        `now` is in Unix milliseconds.
        """
        replica = self.replica
        ranked = replica.neighbourhood.top({item: 1.0}, now, len(replica.facts) if rules else OVERSAMPLE * count + 1)
        good = (found for found in ranked if found != item and replica.available(found))
        return list(islice(_met(rules, replica, good), count))

    def trending(self, count: int, category: str | None, rules: Sequence[Rule] = ()) -> list[str]:
        """The items most is done with, best first; of a finest category, if one is given; those that meet the rules."""
        replica = self.replica
        narrow = category is not None or rules
        good = (
            item
            for item in replica.board.top(len(replica.facts) if narrow else OVERSAMPLE * count)
            if replica.available(item) and (category is None or replica.facts[item].category == category)
        )
        return list(islice(_met(rules, replica, good), count))


def _met(rules: Sequence[Rule], replica: Replica, items: Iterable[str]) -> Iterator[str]:
    """Those of some items that meet rules, in their order; nobody in particular asks."""
    return Eligibility(rules, replica.facts.__getitem__, Profile(), 0).kept(items)


async def _all_met(met: Meets, replica: Replica) -> list[str]:
    """All items of the catalogue that can be bought and meet rules."""
    every = list(replica.facts)
    found: list[str] = []
    for start in range(0, len(every), TOGETHER):
        found += met(filter(replica.available, every[start : start + TOGETHER]))
        await asyncio.sleep(0)
    return found


class NoEncoderError(UpwellError):
    """Texts cannot be held against the items: what encodes them is not the model of the items."""


class Phrase(NamedTuple):
    """A text, and the id of the model whose items it is to be held against."""

    text: str
    model: str


class TextSearch:
    """Text to vectors: as those of items of which nothing but a title is known, by the model that answers.

    While a shop changes its model both have an encoder here, so that whichever a replica is pinned to can be asked.

    Args:
        load: gets an encoder by the model's name, None for the one that the settings name; called in a thread.
        replica: says which models there are.
    """

    def __init__(self, load: LoadEncoder, replica: Replica) -> None:
        self._load = load
        self._replica = replica
        self._encoders: dict[str, EncodesItems] = {}
        self._without: dict[str, tuple[str, float]] = {}
        """Models that could not be had: why, and when that was (monotonic seconds)."""
        self._loading = asyncio.Lock()
        self._under_way: dict[str, asyncio.Task[EncodesItems]] = {}

    async def begin(self) -> None:
        """Load the model that serves, or that of the settings, so that what is wrong with it is told at the start."""
        plan = self._replica.shelves.plan
        encoder = await asyncio.to_thread(self._load, None if plan is None else plan.serving.model)
        self._encoders[encoder.id] = encoder

    async def encoder(self, model: str) -> EncodesItems:
        """The encoder of a model, by its id.

        Raises:
            NoEncoderError: it cannot be had here.
        """
        if (known := self._encoders.get(model)) is not None:
            return known  # without waiting for another model that is being loaded, which may take long
        if (loading := self._under_way.get(model)) is None:
            loading = self._under_way[model] = asyncio.create_task(self._loaded(model))
            loading.add_done_callback(lambda done: self._over(model, done))
        # Whoever asks may be out of time; what they began is for those who ask next, and is not begun anew by each.
        return await asyncio.shield(loading)

    async def vectors(self, phrases: Sequence[Phrase]) -> list[Vectors]:
        """float32 (dim,), of unit length, of each text by its model.

        Raises:
            NoEncoderError: the model cannot be had here.
        """
        found: dict[int, Vectors] = {}
        for model in dict.fromkeys(phrase.model for phrase in phrases):
            encoder = await self.encoder(model)
            places = [place for place, phrase in enumerate(phrases) if phrase.model == model]
            items = [CatalogueItem(id="query", title=phrases[place].text) for place in places]
            found |= zip(places, await encoder.encode(items), strict=True)
        return [found[place] for place in range(len(phrases))]

    async def follow(self) -> None:
        """Have an encoder for the next model before it serves, and let go of those before, until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            due = {served.id for served in self._planned()}
            for model in due - self._encoders.keys():
                with contextlib.suppress(NoEncoderError):
                    await self.encoder(model)
            for model in self._encoders.keys() - due - {self._replica.model} if due else ():
                del self._encoders[model]

    def _planned(self) -> list[ServedModel]:
        plan = self._replica.shelves.plan
        return [] if plan is None else [served for served in (plan.serving, plan.next) if served is not None]

    async def _loaded(self, model: str) -> EncodesItems:
        async with self._loading:
            if model not in self._encoders:
                why, tried = self._without.get(model, ("", -RETRY_S))
                if time.monotonic() - tried < RETRY_S:
                    raise NoEncoderError(why)
                await self._get(model)
            return self._encoders[model]

    def _over(self, model: str, loading: asyncio.Task[EncodesItems]) -> None:
        del self._under_way[model]
        if not loading.cancelled():
            loading.exception()  # looked at, though nobody may have waited for it

    async def _get(self, model: str) -> None:
        name = next((served.model for served in self._planned() if served.id == model), None)
        try:
            encoder = await asyncio.to_thread(self._load, name)
            why = f"this server has {encoder.id}: set UPWELL_MODEL"
        except (EncoderError, UpwellError) as error:
            encoder, why = None, f"which cannot be loaded here: {error}"
        if encoder is None or encoder.id != model:
            why = f"the items were encoded by {model}, {why}"
            self._without[model] = why, time.monotonic()
            raise NoEncoderError(why)
        self._without.pop(model, None)
        self._encoders[model] = encoder


def _with_context(profile: Profile, items: Sequence[str], now: int) -> Profile:
    """The profile as if the shopper had viewed some items now (Unix milliseconds), the last one last."""
    if not items:
        return profile
    weight = WEIGHTS[EventType.VIEW]
    views = [
        Arrival(profile.offset + place, "", Interaction(item, EventType.VIEW, weight, now))
        for place, item in enumerate(items, start=1)
    ]
    return absorb(profile, views, profile.offset + len(items))
