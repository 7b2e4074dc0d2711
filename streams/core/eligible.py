"""Rules on the items that one shopper may be shown: what they leave, what they prefer, and what was shown too often."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from streams.core import profile as profiles
from streams.core.events import EventType
from streams.core.profile import Profile
from streams.core.rules import Rule
from streams.core.rules.syntax import Boost, Deed, Exclude, Include, Value
from streams.core.rules.verdict import KEPT, NEVER, Floats, Ints, Mask, judge

_TOGETHER = 256
"""Items that are judged at once."""


class Described(Protocol):
    """What rules ask of an item: `streams.replicas.Facts`."""

    @property
    def available(self) -> bool: ...
    @property
    def category(self) -> str | None: ...
    @property
    def brand(self) -> str | None: ...
    @property
    def price(self) -> float | None: ...
    @property
    def attributes(self) -> Mapping[str, Value | None]: ...


@dataclass(frozen=True, slots=True)
class Shelf:
    """Some items as rules see them (`rules.verdict.Candidates`), with what the shopper did with them.

    Attributes:
        ids: of the items.
        facts: of the items, in the same order.
        since: by deed, item → milliseconds since the shopper last did it.
    """

    ids: Sequence[str]
    facts: Sequence[Described]
    since: Mapping[Deed, Mapping[str, int]]

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, field: str) -> Floats:
        """See `Candidates`: the price."""
        return np.array([np.nan if fact.price is None else fact.price for fact in self.facts], np.float64)

    def flags(self, field: str) -> Mask:
        """See `Candidates`: whether it is available."""
        return np.array([fact.available for fact in self.facts], np.bool_)

    def among(self, field: str, values: Collection[str]) -> Mask:
        """See `Candidates`: id, category or brand."""
        return np.array([text in values for text in self._texts(field)], np.bool_)

    def known(self, field: str) -> Mask:
        """See `Candidates`."""
        if field == "price":
            return ~np.isnan(self.numbers(field))
        if field == "available":
            return np.ones(len(self), np.bool_)
        return np.array([text is not None for text in self._texts(field)], np.bool_)

    def attributes(self, name: str) -> Sequence[Value | None]:
        """See `Candidates`."""
        return [fact.attributes.get(name) for fact in self.facts]

    def ages(self, deed: Deed) -> Ints:
        """See `Candidates`."""
        since = self.since[deed]
        return np.array([since.get(item, NEVER) for item in self.ids], np.int64)

    def _texts(self, field: str) -> Sequence[str | None]:
        if field == "id":
            return self.ids
        return [fact.category if field == "category" else fact.brand for fact in self.facts]


class Eligibility:
    """The rules of a policy for one shopper as of a time.

    Args:
        rules: in their order.
        facts: of an item of the catalogue, by its id.
        profile: the shopper's.
        now: event time, Unix milliseconds.
        fatigue: what every impression that led to nothing leaves of an item's score, more than 0, at most 1.
        unanswered: item → impressions that led to nothing: `profile.unanswered`.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        facts: Callable[[str], Described],
        profile: Profile,
        now: int,
        fatigue: float = 1.0,
        unanswered: Mapping[str, float] | None = None,
    ) -> None:
        self._dropping = tuple(rule for rule in rules if isinstance(rule, (Exclude, Include)))
        self._boosts = tuple(rule for rule in rules if isinstance(rule, Boost))
        self._facts = facts
        self._since = deeds(profile, now) if rules else {}
        self._fatigue = fatigue
        self._unanswered = unanswered if unanswered and fatigue < 1.0 else {}

    @property
    def drops(self) -> bool:
        """Whether any rule may drop an item."""
        return bool(self._dropping)

    @property
    def boosts(self) -> bool:
        """Whether any rule prefers some items, or some were shown and not taken up."""
        return bool(self._boosts or self._unanswered)

    def kept(self, items: Iterable[str]) -> Iterator[str]:
        """Those of the catalogue's items that no rule drops, in their order; judged as they are asked for."""
        if not self._dropping:
            yield from items
            return
        left = iter(items)
        while part := list(islice(left, _TOGETHER)):
            keep = judge(self._dropping, self._shelf(part)).keep
            yield from (item for item, good in zip(part, keep, strict=True) if good)

    def dropped_by(self, item: str) -> Rule | None:
        """The first rule that drops an item."""
        (place,) = judge(self._dropping, self._shelf([item])).dropped_by
        return None if place == KEPT else self._dropping[place]

    def factors(self, items: Sequence[str]) -> Floats:
        """What scores are multiplied by: float64 (len(items),), > 0."""
        factors = judge(self._boosts, self._shelf(items)).factors if self._boosts else np.ones(len(items))
        if self._unanswered:
            factors = factors * self._fatigue ** np.array([self._unanswered.get(item, 0.0) for item in items])
        return factors

    def _shelf(self, items: Sequence[str]) -> Shelf:
        return Shelf(items, [self._facts(item) for item in items], self._since)


def deeds(profile: Profile, now: int) -> dict[Deed, dict[str, int]]:
    """What a shopper did, as far back as the profile goes: by deed, item → milliseconds since the last time."""
    since: dict[Deed, dict[str, int]] = {deed: {} for deed in Deed}

    def note(deed: Deed, item: str, time: int) -> None:
        since[deed][item] = min(now - time, since[deed].get(item, NEVER))

    cart = profiles.in_cart(profile)
    for interaction in profile.recent:
        note(Deed.SEEN, interaction.item, interaction.time)
        if interaction.type is EventType.PURCHASE:
            note(Deed.PURCHASED, interaction.item, interaction.time)
        if interaction.item in cart:
            note(Deed.IN_CART, interaction.item, interaction.time)
    for item, habit in profile.habits.items():
        note(Deed.SEEN, item, habit.last)
        note(Deed.PURCHASED, item, habit.last)
    return since
