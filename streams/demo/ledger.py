"""What was sent and is not answered yet: joins each recommendation with the events that it answers.

A recommendation names the event that brought it about (its trigger). It answers that event and all earlier ones of
the shopper, because it was made from a profile that holds them all. A shopper's events and recommendations each come
in order, on one partition, so positions in the shopper's own sequence stand for offsets.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

B = TypeVar("B")


@dataclass(slots=True)
class _Pending(Generic[B]):
    """A basket of which some lines are not answered yet: the lines from `answered` on."""

    events: Sequence[str]
    basket: B
    due: float
    answered: int = 0


class Answer(NamedTuple, Generic[B]):
    """What a recommendation answers for the first time.

    `dues` has, for every line answered, the time it was meant to be sent at. `begun` has the baskets of which it
    answers the first line: recommendations before this one knew nothing of them. `completed` has the baskets of
    which it answers the last line.
    """

    dues: list[float]
    begun: list[B]
    completed: list[B]


@dataclass(slots=True)
class Ledger(Generic[B]):
    """Baskets of type `B`, under way."""

    _by_user: dict[str, deque[_Pending[B]]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """Events that are not answered yet."""
        return len(self._open)

    def sent(self, user: str, events: Sequence[str], basket: B, due: float) -> None:
        """Enter a basket by its event ids, in the order they are sent in; at least one."""
        self._by_user.setdefault(user, deque()).append(_Pending(events, basket, due))
        self._open.update(events)

    def answered(self, user: str, trigger: str) -> Answer[B]:
        """Settle everything up to the trigger, an event id. A trigger that was settled before answers nothing."""
        answer: Answer[B] = Answer([], [], [])
        while trigger in self._open:
            pending = self._by_user[user][0]
            if pending.answered == 0:
                answer.begun.append(pending.basket)
            event = pending.events[pending.answered]
            pending.answered += 1
            answer.dues.append(pending.due)
            self._open.discard(event)
            if pending.answered == len(pending.events):
                answer.completed.append(pending.basket)
                self._by_user[user].popleft()
        return answer
