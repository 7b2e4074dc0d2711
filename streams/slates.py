"""What was picked, as the items of a recommendation: with places, scores and reasons."""

from collections.abc import Callable, Sequence

from index.base import Vectors
from streams.core import explain
from streams.core.explain import Cause, Grounds, Pick
from streams.core.policy import Channel
from streams.drafts import Draft
from streams.records import Cited, Reason, RecommendedItem
from streams.replicas import Replica


def listed(
    picks: Sequence[Pick],
    vectors: Vectors,
    draft: Draft,
    tastes: Callable[[Sequence[str]], Vectors],
    replica: Replica,
) -> list[RecommendedItem]:
    """The entries of a list.

    Args:
        picks: in their order.
        vectors: float32 (picks, dim); that of a place that is explored does not matter.
        draft: from which they were picked.
        tastes: vectors of what the shopper had to do with.
        replica: the shared state.
    """
    visit, ring = draft.visit, draft.candidates.ring
    grounds = Grounds(
        visit.profile, [event for event in visit.profile.recent if event.weight > 0], replica.title, draft.segment
    )
    had = [event.item for event in grounds.recent]
    near = explain.pull(vectors, tastes(had), grounds.recent, replica.half_lives.intent)
    shown, liked = replica.items.places(pick.item for pick in picks), ring.places[ring.weights > 0]
    beside = replica.neighbourhood.pull(shown, liked, visit.now)
    pulls = near, beside, replica.sessions.pull(draft.candidates.alike, shown, liked)
    behind = zip(*(explain.cited(pull, grounds.recent) for pull in pulls), strict=True)
    entries = []
    for rank, (pick, (like, along, others)) in enumerate(zip(picks, behind, strict=True), start=1):
        events = {Channel.CONTENT: like, Channel.NEIGHBOURS: along, Channel.SESSIONS: others}
        reasons = [_reason(cause) for cause in explain.causes(pick, grounds, events)]
        channel, score = reasons[0].channel, round(pick.score, 6)
        entries.append(RecommendedItem(rank, pick.item, score, channel, reasons, pick.propensity))
    return entries


def _reason(cause: Cause) -> Reason:
    cited = [Cited(event.item, event.type, event.time) for event in cause.because]
    return Reason(cause.channel, round(cause.share, 4), cause.text, cited)
