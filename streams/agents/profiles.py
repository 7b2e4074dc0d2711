"""Profiles agent: shopper events in, profile and popularity rows, pairs of items and recommendations out."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from streams import codecs
from streams.agents.neighbours import pair_records
from streams.core import coldstart, cooccurrence, trending
from streams.core import profile as profiles
from streams.core.erasure import Erasure
from streams.core.events import Arrival
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.edge import AcceptedEvent, Limits, accept_event, erasure_of
from streams.engine.effects import Batch, Effects, Output, Reader, Rejection, Row
from streams.recommender import Shopper, recommend
from streams.records import Recommendation, Trigger
from streams.replicas import Replica
from streams.topics import Topics

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Update(NamedTuple):
    """A shopper's events of this batch, in offset order, those among them that are new, the profile before and after.

    Without events the shopper is erased, and the profile empty, or of after the erasure.
    """

    shopper: str
    events: list[AcceptedEvent]
    new: list[Arrival]
    before: Profile
    profile: Profile

    @property
    def gone(self) -> bool:
        """Whether there is no profile any more."""
        return self.profile.offset < 0

    @property
    def row(self) -> Row:
        """The row of the profile, or its deletion."""
        return self.shopper.encode(), None if self.gone else codecs.encode_profile(self.profile)


class Observer(Protocol):
    """Is told what was handled; it may be told again of a batch that is handled again."""

    def handled(self, events: Iterable[AcceptedEvent], duplicates: int, sent: Iterable[Recommendation]) -> None:
        """The accepted events of a batch, how many of them the profiles held already, and what was recommended."""
        ...


class ProfilesHandler:
    """Folds events into profiles and recommends anew to everyone who did something.

    Redelivered events change nothing: their rows are put again, and the recommendation is sent again under the id
    it had. `trending` rows come before `profiles` rows, and the engine has them acknowledged in that order: so an
    event that a profile holds is in the popularity too, and popularity can leave to profiles what a duplicate is.
    The pairs of items go out before any row, made from the profiles as they were: again after a crash, and alike.
    An erasure is entered in the ledger before the profile is deleted; what the ledger covers is passed over unread.
    """

    def __init__(self, topics: Topics, replica: Replica, policy: Policy, limits: Limits) -> None:
        self._topics = topics
        self._replica = replica
        self._policy = policy
        self._limits = limits
        self.observer: Observer | None = None

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Fold a batch of the events topic."""
        by_shopper: dict[str, list[AcceptedEvent]] = {}
        asked: dict[str, Erasure] = {}
        rejections = []
        for record in batch.records:
            if erasure := erasure_of(record, self._limits):
                asked[erasure[0]] = erasure[1].joined(asked.get(erasure[0], Erasure()))
                continue
            accepted = accept_event(record, self._limits)
            if isinstance(accepted, Rejection):
                rejections.append(accepted)
            else:
                by_shopper.setdefault(accepted.shopper, []).append(accepted)
        entered = self._forget(by_shopper, asked, read)
        updates = _fold(by_shopper, asked, read)
        deltas = (delta for update in updates for delta in cooccurrence.deltas(update.before.recent, update.new))
        return Effects(
            deltas=pair_records(self._topics.pairs, batch.partition, sorted(deltas)),
            rows={
                "trending": self._popularity_rows(updates, read),
                "erasures": entered,
                "profiles": [update.row for update in updates],
            },
            outputs=await self._outputs(batch, updates),
            rejections=rejections,
        )

    def _forget(self, by_shopper: dict[str, list[AcceptedEvent]], asked: dict[str, Erasure], read: Reader) -> list[Row]:
        """Take out the events that an erasure covers. Returns the ledger's rows of those who `asked`."""
        shoppers = [*by_shopper, *(shopper for shopper in asked if shopper not in by_shopper)]
        keys = [self._limits.ledger.key(shopper) for shopper in shoppers]
        entered: list[Row] = []
        for shopper, key, row in zip(shoppers, keys, read("erasures", keys), strict=True):
            erasure = codecs.decode_erasure(row).joined(asked.get(shopper, Erasure()))
            if shopper in asked:
                entered.append((key, codecs.encode_erasure(erasure)))
            if erasure.offset >= 0:
                events = by_shopper.pop(shopper, [])
                after = [event for event in events if not event.erased_by(erasure)]
                if after or shopper in asked:
                    by_shopper[shopper] = after
        return entered

    def _popularity_rows(self, updates: Sequence[_Update], read: Reader) -> list[Row]:
        by_key: dict[bytes, list[Arrival]] = {}
        for update in updates:
            counted = coldstart.by_segment(update.before.attributes, update.new, self._limits.segments)
            for segment, arrival in counted:
                if arrival.interaction is not None and arrival.interaction.weight > 0:
                    key = codecs.popularity_key(arrival.interaction.item, segment)
                    by_key.setdefault(key, []).append(arrival)
        before = [codecs.decode_popularity(row) for row in read("trending", list(by_key))]
        return [
            (key, codecs.encode_popularity(trending.fold(old, sorted(arrivals))))
            for (key, arrivals), old in zip(by_key.items(), before, strict=True)
        ]

    async def _outputs(self, batch: Batch, updates: Sequence[_Update]) -> list[Output]:
        # A replay may redeliver events from before the row's offset: what they led to was superseded, and sent.
        current = [
            update for update in updates if update.events and update.events[-1].arrival.offset == update.profile.offset
        ]
        name = self._policy.name
        ids = [recommendation_id(u.shopper, batch.partition, u.profile.offset, name) for u in current]
        shoppers = [Shopper(u.profile, _newest_time(u), key) for u, key in zip(current, ids, strict=True)]
        replica = self._replica.pinned()
        as_of = replica.rests_on()
        slates = await recommend(shoppers, replica, self._policy)
        topic = self._topics.recommendations.name
        outputs = [Output(topic, update.shopper.encode(), None, batch.partition) for update in updates if update.gone]
        sent: list[Recommendation] = []
        for update, key, shopper, slate in zip(current, ids, shoppers, slates, strict=True):
            offset = update.profile.offset
            last = update.events[-1]
            recommendation = Recommendation(
                id=key,
                user=update.shopper,
                time=shopper.now,
                trigger=Trigger(
                    batch.topic,
                    batch.partition,
                    offset,
                    last.event.id,
                    last.event.type,
                    last.timestamp,
                    last.event.item,
                ),
                items=slate.items,
                as_of={**as_of, f"{batch.topic}/{batch.partition}": offset},
                model=replica.model,
                policy=name,
                stage=slate.stage,
            )
            sent.append(recommendation)
            outputs.append(Output(topic, update.shopper.encode(), _encode(recommendation), batch.partition))
        if self.observer is not None:
            events = [event for update in updates for event in update.events]
            self.observer.handled(events, len(events) - sum(len(update.new) for update in updates), sent)
        return outputs


def _fold(by_shopper: dict[str, list[AcceptedEvent]], asked: dict[str, Erasure], read: Reader) -> list[_Update]:
    """What becomes of the shoppers; what was before an erasure that they `asked` for counts no more."""
    rows = read("profiles", [shopper.encode() for shopper in by_shopper])
    updates = []
    for (shopper, events), row in zip(by_shopper.items(), rows, strict=True):
        before = codecs.decode_profile(row)
        if before.offset < asked.get(shopper, Erasure()).offset:
            before = Profile()
        arrivals = [event.arrival for event in events]
        new = profiles.fresh(before, arrivals)
        after = profiles.absorb(before, new, arrivals[-1].offset) if arrivals else before
        updates.append(_Update(shopper, events, new, before, after))
    return updates


def recommendation_id(shopper: str, partition: int, offset: int, policy: str) -> str:
    """The id of what is recommended to a shopper after the event at an offset: 32 hex digits."""
    return blake2b(f"{shopper}\0{partition}\0{offset}\0{policy}".encode(), digest_size=16).hexdigest()


def _newest_time(update: _Update) -> int:
    """Event time that a recommendation holds for: that of the newest event known of the shopper."""
    recent = update.profile.recent
    return max(update.events[-1].event.time, recent[-1].time if recent else 0)
