"""What is new, moved and gone between two recommendations."""

from hypothesis import given
from hypothesis import strategies as st

from streams.demo.changes import between


def test_new_moved_and_gone() -> None:
    changes = between(["a", "b", "c", "d"], ["b", "a", "e", "d"])
    assert changes.moves == [1, -1, None, 0]
    assert changes.gone == ["c"]
    assert (changes.new, changes.moved) == (1, 2)


def test_the_same_list_has_not_changed() -> None:
    assert between(["a", "b"], ["a", "b"]) == ([0, 0], [])


ranked = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(ranked, ranked)
def test_the_changes_lead_from_the_one_to_the_other(before: list[str], after: list[str]) -> None:
    changes = between(before, after)
    for place, (item, move) in enumerate(zip(after, changes.moves, strict=True)):
        assert (move is None) == (item not in before)
        if move is not None:
            assert before[place + move] == item
    assert set(changes.gone) == set(before) - set(after)
