"""Hypothesis strategies that several property tests share."""

from hypothesis import strategies as st

from streams.core.events import WEIGHTS, Arrival, EventType, Interaction, Known

DAY = 86_400_000
T0 = 1_700_000_000_000

items = st.sampled_from([f"item-{number}" for number in range(12)])
times = st.integers(T0, T0 + 400 * DAY)
types = st.sampled_from([
    EventType.IMPRESSION, EventType.VIEW, EventType.CART, EventType.UNCART, EventType.PURCHASE, EventType.RETURN,
    EventType.DISLIKE,
])  # fmt: skip


@st.composite
def interactions(draw: st.DrawFn) -> Interaction:
    kind = draw(types)
    return Interaction(draw(items), kind, WEIGHTS[kind], draw(times))


told = st.dictionaries(
    st.sampled_from(["age", "country"]), st.builds(Known, times, st.sampled_from(["a", "b"])), max_size=2
)


@st.composite
def logs(draw: st.DrawFn, max_size: int = 80, unique_times: bool = False) -> list[Arrival]:
    """Arrivals with rising offsets and gaps; no event id twice."""
    drawn = draw(
        st.lists(
            interactions(),
            max_size=max_size,
            unique_by=(lambda interaction: interaction.time) if unique_times else None,
        )
    )
    offset = draw(st.integers(0, 5))
    arrivals = []
    for number, interaction in enumerate(drawn):
        arrivals.append(Arrival(offset, f"event-{number}", interaction, draw(told)))
        offset += draw(st.integers(1, 3))
    return arrivals
