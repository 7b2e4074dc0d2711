"""Batching against what it promises, for any lengths, budget and bucket."""

from hypothesis import given
from hypothesis import strategies as st

from encoders.batching import pad, padding_factor, plan

lengths = st.lists(st.integers(1, 600), max_size=80)
budgets = st.integers(1, 5000)
buckets = st.integers(1, 64)


@given(lengths, budgets, buckets)
def test_every_text_is_in_exactly_one_batch(lengths: list[int], budget: int, bucket: int) -> None:
    rows = [row for batch in plan(lengths, budget, bucket) for row in batch.rows]
    assert sorted(rows) == list(range(len(lengths)))


@given(lengths, budgets, buckets)
def test_a_batch_keeps_the_budget_or_holds_one_text(lengths: list[int], budget: int, bucket: int) -> None:
    for batch in plan(lengths, budget, bucket):
        assert len(batch.rows) == 1 or batch.tokens * len(batch.rows) <= budget


@given(lengths, budgets, buckets)
def test_what_a_text_is_padded_to_depends_on_itself_alone(lengths: list[int], budget: int, bucket: int) -> None:
    for batch in plan(lengths, budget, bucket):
        for row in batch.rows:
            assert batch.tokens == min(n for n in range(bucket, 700, bucket) if n >= lengths[row])


@given(lengths, budgets, buckets, st.integers(600, 700))
def test_nothing_is_padded_beyond_the_model(lengths: list[int], budget: int, bucket: int, limit: int) -> None:
    for free, capped in zip(plan(lengths, budget, bucket), plan(lengths, budget, bucket, limit), strict=False):
        assert capped.tokens == min(free.tokens, limit)


@given(lengths, budgets, buckets)
def test_no_two_batches_would_fit_into_one(lengths: list[int], budget: int, bucket: int) -> None:
    open_batches: dict[int, int] = {}
    for batch in plan(lengths, budget, bucket):
        assert open_batches.get(batch.tokens, budget) + batch.tokens > budget, "the one before had room"
        open_batches[batch.tokens] = batch.tokens * len(batch.rows)


@given(st.lists(st.lists(st.integers(0, 30_000), min_size=1, max_size=20), min_size=1, max_size=10))
def test_padding_keeps_the_ids_and_masks_the_rest(ids: list[list[int]]) -> None:
    padded, mask = pad(ids, 20)
    assert [row[on.astype(bool)].tolist() for row, on in zip(padded, mask, strict=True)] == ids
    assert not padded[mask == 0].any()


@given(lengths, budgets)
def test_without_buckets_nothing_is_padded(lengths: list[int], budget: int) -> None:
    assert padding_factor(lengths, plan(lengths, budget, bucket=1)) == (1 if lengths else 0)
