"""Which events a recommendation answers, against a list of everything that was sent."""

from hypothesis import given
from hypothesis import strategies as st

from streams.demo.ledger import Ledger


def sent(ledger: Ledger[str]) -> None:
    ledger.sent("ann", ["a1", "a2"], "first", 1.0)
    ledger.sent("ann", ["a3"], "second", 2.0)
    ledger.sent("bob", ["b1"], "bob's", 3.0)


def test_a_trigger_answers_itself_and_all_before_it_of_its_shopper() -> None:
    ledger: Ledger[str] = Ledger()
    sent(ledger)
    assert ledger.answered("ann", "a3") == ([1.0, 1.0, 2.0], ["first", "second"], ["first", "second"])
    assert len(ledger) == 1


def test_a_basket_that_is_answered_in_parts_begins_once_and_completes_once() -> None:
    ledger: Ledger[str] = Ledger()
    sent(ledger)
    assert ledger.answered("ann", "a1") == ([1.0], ["first"], [])
    assert ledger.answered("ann", "a2") == ([1.0], [], ["first"])


def test_a_recommendation_that_is_sent_again_answers_nothing() -> None:
    ledger: Ledger[str] = Ledger()
    sent(ledger)
    ledger.answered("ann", "a3")
    assert ledger.answered("ann", "a2") == ([], [], [])
    assert ledger.answered("ann", "never sent") == ([], [], [])


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 4)), min_size=1, max_size=12), st.data())
def test_every_line_is_answered_once_by_the_first_that_knows_it(
    baskets: list[tuple[str, int]], data: st.DataObject
) -> None:
    ledger: Ledger[int] = Ledger()
    lines: dict[str, list[tuple[str, float]]] = {}
    for number, (user, size) in enumerate(baskets):
        events = [f"{number}-{line}" for line in range(size)]
        ledger.sent(user, events, number, float(number))
        lines.setdefault(user, []).extend((event, float(number)) for event in events)
    settled = dict.fromkeys(lines, 0)
    for _ in range(data.draw(st.integers(1, 10))):
        user = data.draw(st.sampled_from(sorted(lines)))
        upto = data.draw(st.integers(0, len(lines[user]) - 1))
        answer = ledger.answered(user, lines[user][upto][0])
        assert answer.dues == [due for _, due in lines[user][settled[user] : upto + 1]]
        settled[user] = max(settled[user], upto + 1)
    assert len(ledger) == sum(len(lines[user]) - settled[user] for user in lines)
