"""Profiles agent: shopper events in, profile and popularity rows, pairs of items and recommendations out."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from streams import codecs
from streams.agents.neighbours import pair_records
from streams.core import cooccurrence, trending
from streams.core import profile as profiles
from streams.core.cooccurrence import Delta
from streams.core.events import Arrival
from streams.core.policy import Policy
from streams.core.profile import Profile
from streams.edge import AcceptedEvent, Limits, accept_event
from streams.engine.effects import Batch, Effects, Output, Reader, Rejection, Row
from streams.recommender import Shopper, recommend
from streams.records import Recommendation, Trigger
from streams.replicas import Replica
from streams.topics import Topics

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Update(NamedTuple):
    """A shopper's events of this batch, in offset order, and the profile after them."""

    shopper: str
    events: list[AcceptedEvent]
    profile: Profile


class ProfilesHandler:
    """Folds events into profiles and recommends anew to everyone who did something.

    Redelivered events change nothing: their rows are put again, and the recommendation is sent again under the id
    it had. `trending` rows come before `profiles` rows, and the engine has them acknowledged in that order: so an
    event that a profile holds is in the popularity too, and popularity can leave to profiles what a duplicate is.
    The pairs of items go out before any row, made from the profiles as they were: again after a crash, and alike.
    """

    def __init__(self, topics: Topics, replica: Replica, policy: Policy, limits: Limits) -> None:
        self._topics = topics
        self._replica = replica
        self._policy = policy
        self._limits = limits

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Fold a batch of the events topic."""
        by_shopper: dict[str, list[AcceptedEvent]] = {}
        rejections = []
        for record in batch.records:
            accepted = accept_event(record, self._limits)
            if isinstance(accepted, Rejection):
                rejections.append(accepted)
            else:
                by_shopper.setdefault(accepted.shopper, []).append(accepted)
        updates, fresh, deltas = self._fold(by_shopper, read)
        return Effects(
            deltas=pair_records(self._topics.pairs, batch.partition, deltas),
            rows={
                "trending": self._popularity_rows(fresh, read),
                "profiles": [(update.shopper.encode(), codecs.encode_profile(update.profile)) for update in updates],
            },
            outputs=await self._outputs(batch, updates),
            rejections=rejections,
        )

    def _fold(
        self, by_shopper: dict[str, list[AcceptedEvent]], read: Reader
    ) -> tuple[list[_Update], list[Arrival], list[Delta]]:
        """What becomes of the shoppers; their new events and the pairs in them, each in offset order."""
        rows = read("profiles", [shopper.encode() for shopper in by_shopper])
        updates, fresh, deltas = [], [], []
        for (shopper, events), row in zip(by_shopper.items(), rows, strict=True):
            before = codecs.decode_profile(row)
            arrivals = [event.arrival for event in events]
            new = profiles.fresh(before, arrivals)
            fresh.extend(new)
            deltas.extend(cooccurrence.deltas(before.recent, new))
            updates.append(_Update(shopper, events, profiles.absorb(before, new, arrivals[-1].offset)))
        fresh.sort()
        deltas.sort()
        return updates, fresh, deltas

    @staticmethod
    def _popularity_rows(fresh: Sequence[Arrival], read: Reader) -> list[Row]:
        by_item: dict[str, list[Arrival]] = {}
        for arrival in fresh:
            if arrival.interaction is not None and arrival.interaction.weight > 0:
                by_item.setdefault(arrival.interaction.item, []).append(arrival)
        keys = [item.encode() for item in by_item]
        before = [codecs.decode_popularity(row) for row in read("trending", keys)]
        return [
            (key, codecs.encode_popularity(trending.fold(old, arrivals)))
            for key, old, arrivals in zip(keys, before, by_item.values(), strict=True)
        ]

    async def _outputs(self, batch: Batch, updates: Sequence[_Update]) -> list[Output]:
        # A replay may redeliver events from before the row's offset: what they led to was superseded, and sent.
        current = [update for update in updates if update.events[-1].arrival.offset == update.profile.offset]
        shoppers = [Shopper(update.profile, _newest_time(update)) for update in current]
        as_of = dict(self._replica.as_of)
        slates = await recommend(shoppers, self._replica, self._policy)
        outputs = []
        for update, shopper, slate in zip(current, shoppers, slates, strict=True):
            offset = update.profile.offset
            last = update.events[-1]
            recommendation = Recommendation(
                id=recommendation_id(update.shopper, batch.partition, offset, self._policy.name),
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
                model=self._replica.model,
                policy=self._policy.name,
                stage=slate.stage,
            )
            outputs.append(
                Output(
                    self._topics.recommendations.name, update.shopper.encode(), _encode(recommendation), batch.partition
                )
            )
        return outputs


def recommendation_id(shopper: str, partition: int, offset: int, policy: str) -> str:
    """The id of what is recommended to a shopper after the event at an offset: 32 hex digits."""
    return blake2b(f"{shopper}\0{partition}\0{offset}\0{policy}".encode(), digest_size=16).hexdigest()


def _newest_time(update: _Update) -> int:
    """Event time that a recommendation holds for: that of the newest event known of the shopper."""
    recent = update.profile.recent
    return max(update.events[-1].event.time, recent[-1].time if recent else 0)
