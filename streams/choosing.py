"""Which items an answer is about: those that a question names or that are near to it, as it wants them, best first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from index.attributes import Filter
from streams.core.answers.plan import Kind, Order, Plan
from streams.core.answers.wishes import both
from streams.core.eligible import Eligibility
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.core.rules.syntax import Comparison, Condition, Field, Include, Operator, Rule
from streams.filters import paid_in
from streams.portrait import as_of
from streams.replicas import Facts, Replica

NEAREST = 400
"""So many items are asked of the index: those that do not fit fall out. Where too few are left, see `sought`."""

NAMED = 3
"""Items of one name that are told of at most, and alternatives to one."""

LOOKED_AT = 2_000
"""So many items of the catalogue are looked at where too few can be recommended."""

NEUTRAL = 60.0
"""Ranks are fused by their reciprocals behind so many (Cormack et al., SIGIR 2009)."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be chosen from.

    Attributes:
        plan: what is asked for.
        profile: of whoever asks; an empty one for somebody not known.
        near: items near to what the plan is about, best first.
        taste: items that would be recommended to whoever asks, best first; none where taste does not count.
        n: items to choose at most.
    """

    plan: Plan
    profile: Profile
    near: Sequence[str]
    taste: Sequence[str]
    n: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What an answer is about.

    Attributes:
        kind: the plan's, or another where that is the answer.
        items: of the catalogue, best first.
        alternatives: like the first of them, and available.
        exact: they are what was asked for, not only near to it in meaning.
        more: more items are called so.
    """

    kind: Kind
    items: Sequence[str] = ()
    alternatives: Sequence[str] = ()
    exact: bool = True
    more: bool = False


class Sought(NamedTuple):
    """What is to be looked for farther away: items that meet rules, of which the index is told, and all else they must.

    `fits` gives those of some items that do, in their order; `within` tells the index what the rules cannot say.
    """

    rules: tuple[Rule, ...]
    fits: Callable[[Iterable[str]], list[str]]
    within: Filter | None


def sought(case: Case, replica: Replica, policy: Policy) -> Iterator[Sought]:
    """What to look for where too few of the items that are near will do; of several, the first that there is.

    It yields nothing where enough are near, or where nearness has no say.
    """
    return _Chooser(case, replica, policy).sought()


def choose(case: Case, replica: Replica, policy: Policy) -> Choice:
    """What an answer is about, by a catalogue and the rules of a policy."""
    return _Chooser(case, replica, policy).choice()


def rules_of(condition: Condition | None) -> tuple[Rule, ...]:
    """A condition as rules."""
    return () if condition is None else (Include(condition),)


class _Chooser:
    def __init__(self, case: Case, replica: Replica, policy: Policy) -> None:
        self._case = case
        self._plan = case.plan
        self._facts = replica.facts
        self._available = replica.available
        self._popularity = replica.board.total
        self._policy = policy
        self._near = [item for item in case.near if item in replica.facts]
        self._named = [item for item in case.plan.named if item in replica.facts]
        self._shown = min(case.n, NAMED)

    def choice(self) -> Choice:
        kind, named = self._plan.kind, self._named
        if kind is Kind.FIND:
            return self._find()
        if kind is Kind.UNKNOWN or (kind is Kind.COMPARE and len(named) < 2):
            return Choice(Kind.UNKNOWN)
        if kind is Kind.COMPARE:
            return Choice(kind, named[:2])
        exact = bool(named) or not self._plan.foreign
        if not exact:  # words of another language may mean it
            named = self._near[: self._shown]
        if kind is Kind.ALTERNATIVES:
            return Choice(kind, named[:1], self._like(named[0]) if named else (), exact)
        if kind is Kind.STOCK:
            return self._stock(named, exact=exact)
        return Choice(kind, named[: self._shown], (), exact, exact and len(named) > self._shown)

    def sought(self) -> Iterator[Sought]:
        plan, named = self._plan, self._named
        if plan.kind is Kind.FIND and not plan.text:
            if len(self._fitting()) < self._case.n and len(self._facts) > LOOKED_AT:
                yield self._sought(None, self._kept)
        elif plan.kind is Kind.FIND and not named:
            for softly in dict.fromkeys((plan.softly, None)):
                if len(self._kept(self._about(), softly)) >= self._case.n:
                    return
                yield self._sought(softly, partial(self._kept, softly=softly))
        elif named and self._replaced(named) and len(self._others(named[0], self._near)) < self._shown:
            yield self._sought(self._cheaper_than(named[0]), partial(self._others, named[0]))

    def _sought(self, also: Condition | None, fits: Callable[[Iterable[str]], list[str]]) -> Sought:
        currencies = self._plan.currencies
        return Sought(self._rules(also), fits, paid_in(sorted(currencies)) if currencies else None)

    def _find(self) -> Choice:
        plan = self._plan
        if not plan.text:
            return Choice(plan.kind, self._ordered(self._fitting()))
        if not self._named:
            near = self._about()
            found = self._kept(near, plan.softly) or self._kept(near)
            return Choice(plan.kind, self._ordered(found), exact=False)
        if not self._sells(self._named):
            return self._stock(self._named, exact=True)
        place = {item: rank for rank, item in enumerate(self._near)}
        ranked = sorted(self._named, key=lambda i: (place.get(i, NEAREST), -self._popularity(i), i))
        return Choice(plan.kind, self._ordered(self._kept(ranked, plan.softly)))

    def _stock(self, items: Sequence[str], *, exact: bool) -> Choice:
        shown = items[: self._shown]
        gone = bool(shown) and not self._sells(shown)
        others = self._like(shown[0]) if gone else ()
        return Choice(Kind.STOCK, shown, others, exact, exact and len(items) > len(shown))

    def _fitting(self) -> list[str]:
        """What fits, where nothing in particular is asked for: what suits the shopper first."""
        found = self._kept(self._case.taste)
        if len(found) < self._case.n:  # nobody has had much to do with anything yet
            found += self._kept(chain(islice(self._facts, LOOKED_AT), self._near))
        return list(dict.fromkeys(found))

    def _about(self) -> list[str]:
        """What is near to what is asked for, those first that have most of its words."""
        partly = set(self._plan.partly)
        near = list(dict.fromkeys([*self._near, *(item for item in self._plan.partly if item in self._facts)]))
        return sorted(near, key=lambda item: item not in partly)

    def _like(self, item: str) -> Sequence[str]:
        """What is near to an item and can be bought."""
        return self._ordered(self._others(item, self._near))[: self._shown]

    def _others(self, item: str, items: Iterable[str]) -> list[str]:
        """Those of some items that may stand for one."""
        others = (other for other in items if other != item)
        if self._plan.cheaper:
            own = self._facts.get(item)
            if own is None:  # it left the catalogue while others were looked for
                return []
            others = (other for other in others if _costs_less(self._facts[other], own))
        return self._kept(others)

    def _cheaper_than(self, item: str) -> Condition | None:
        price = self._facts[item].price
        if not self._plan.cheaper or price is None:
            return None
        return Comparison(Field("price"), Operator.LESS, price)

    def _replaced(self, named: Sequence[str]) -> bool:
        """Whether others are told of instead of what is named, or beside it."""
        kind = self._plan.kind
        gone = not self._sells(named if kind is Kind.FIND else named[: self._shown])
        return kind is Kind.ALTERNATIVES or (kind in (Kind.FIND, Kind.STOCK) and gone)

    def _sells(self, items: Sequence[str]) -> bool:
        return any(map(self._available, items))

    def _rules(self, also: Condition | None = None) -> tuple[Rule, ...]:
        """Those of the policy, and what the question wants."""
        return (*self._policy.rules, *rules_of(both([self._plan.condition, also])))

    def _kept(self, items: Iterable[str], softly: Condition | None = None) -> list[str]:
        """Those of some items that can be bought, that the policy allows and that are as the question wants them."""
        profile = self._case.profile
        eligible = Eligibility(self._rules(softly), self._facts.__getitem__, profile, as_of(profile))
        good = (item for item in items if item not in self._policy.excluded and self._available(item))
        return [item for item in eligible.kept(good) if _in_currency(self._plan, self._facts[item])]

    def _ordered(self, items: list[str]) -> list[str]:
        """By fit and the shopper's taste, or as the question wants it; no more than were asked for."""
        order, taste = self._plan.order, {item: rank for rank, item in enumerate(self._case.taste)}
        if taste and self._plan.text:
            scores = {
                item: 1 / (NEUTRAL + rank) + (1 / (NEUTRAL + taste[item]) if item in taste else 0.0)
                for rank, item in enumerate(items)
            }
            items = sorted(items, key=scores.__getitem__, reverse=True)
        if order is Order.BEST_RATED:
            items = sorted(items, key=lambda item: -(self._facts[item].rating or 0.0))
        elif order is not None:
            sign = 1 if order is Order.CHEAPEST else -1
            priced = [(price, item) for item in items if (price := self._facts[item].price) is not None]
            items = [item for _, item in sorted(priced, key=lambda pair: sign * pair[0])]
        return items[: self._case.n]


def _costs_less(facts: Facts, than: Facts) -> bool:
    prices = facts.price, than.price
    return None not in prices and prices[0] < prices[1] and facts.currency == than.currency  # type: ignore[operator]


def _in_currency(plan: Plan, facts: Facts) -> bool:
    return not plan.currencies or facts.currency is None or facts.currency in plan.currencies
