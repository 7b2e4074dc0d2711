"""What exploring is worth, from recommendations whose truth is known."""

import numpy as np
import pytest
from msgspec import structs

from streams.core.events import EventType
from streams.evaluation.explored import judge
from streams.evaluation.recorded import before
from streams.history import Place
from streams.records import Reason, Recommendation, RecommendedItem, Trigger
from tests.unit.recorded import DAY, GOODS, START, event_line, item_line, log_of

RATE, DRAWN_FROM = 0.3, 4
ITEMS = list(GOODS)


def _sent(number: int, user: str, day: float, item: str, *, fresh: bool, policy: str = "default") -> Recommendation:
    channel, chance = ("fresh", RATE / DRAWN_FROM) if fresh else ("content", 1.0 - RATE)
    time = START + int(day * DAY)
    trigger = Trigger("shop.events.v1", 0, number, f"e{number}", EventType.VIEW, time)
    shown = RecommendedItem(1, item, 1.0, channel, [Reason(channel, 1.0, "")], chance)
    return Recommendation(f"r{number}", user, time, trigger, [shown], {}, "", policy, "profile")


def _history(count: int) -> tuple[list[Recommendation], list[dict[str, object]]]:
    chance = np.random.default_rng(5)
    sent, lines = [], [item_line(name, title) for name, title in GOODS.items()]
    for number in range(count):
        fresh = bool(chance.random() < RATE)
        item, user = ITEMS[number % 8], f"user{number}"
        sent.append(_sent(number, user, 1.0, item, fresh=fresh))
        if chance.random() < (0.5 if fresh else 0.2):
            lines.append(event_line(number, user, 3.0, item))
        else:
            lines.append(event_line(number, user, 20.0, item))
    return sent, lines


def test_never_and_always_are_told_apart() -> None:
    sent, lines = _history(4_000)
    found = judge([*sent, *sent[:50]], log_of(lines))
    assert found.never.looks == 4_000
    assert found.fresh == sum(one.items[-1].channel == "fresh" for one in sent)
    assert found.never.snips is not None
    assert found.always.snips is not None
    assert found.never.snips.value == pytest.approx(0.2, abs=0.03)
    assert found.always.snips.value == pytest.approx(0.5, abs=0.05)
    assert found.always.snips.interval.low < 0.5 < found.always.snips.interval.high
    assert found.as_json()["always"]["snips"]["value"] == pytest.approx(found.always.snips.value, abs=1e-6)
    assert "never 0.2" in found.in_words()


def test_too_few_looks_say_nothing() -> None:
    sent, lines = _history(50)
    found = judge(sent, log_of(lines))
    assert found.never.snips is None
    assert found.as_json()["always"]["ips"] is None
    assert "never unknown (39 effective looks, 100 are needed)" in found.in_words()


def test_what_was_not_drawn_or_cannot_be_judged_is_no_look() -> None:
    sent, lines = _history(10)
    plain = _sent(99, "user1", 1.0, "milk", fresh=False)
    unlogged = structs.replace(plain, items=[RecommendedItem(1, "milk", 1.0, "content", [])])
    alone = _sent(98, "user2", 1.0, "milk", fresh=True, policy="never seen without exploring")
    assert judge([*sent, unlogged, alone], log_of(lines)).never.looks == 10
    assert judge([], log_of(lines)).never.looks == 0


def test_what_came_later_than_the_log_ends_is_left_out() -> None:
    sent, lines = _history(4_000)
    until = 3_000
    early = before(sent, Place(offset=until))
    assert early == sent[:until]
    assert judge(early, log_of(lines)).never.looks == until
    middle = sent[7].trigger.timestamp
    assert before(sent, Place(time=middle)) == []
    assert before(sent, Place(time=middle + 1)) == before(sent, Place()) == sent
