"""Profiles agent: shopper events in, profile and popularity rows, pairs of items and recommendations out."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from streams import codecs, sessions
from streams.agents import merges
from streams.agents.neighbours import pair_records
from streams.agents.ranker import NOT_AT_ALL, Doing, Learning, example_records, moments_of
from streams.core import coldstart, cooccurrence, merging, trending
from streams.core import profile as profiles
from streams.core.erasure import Erasure
from streams.core.events import Arrival
from streams.core.merging import Joined
from streams.core.policy import Policy
from streams.core.profile import Absorbed, Profile
from streams.core.ranking import Example
from streams.edge import AcceptedEvent, Limits, accept_event, erasure_of
from streams.engine.effects import Batch, Effects, Output, Reader, Rejection, Row
from streams.lessons import Moment
from streams.recommender import TOGETHER, Shopper, Slate, recommend_and_learn
from streams.records import Recommendation, Trigger
from streams.replicas import Replica
from streams.together import Together
from streams.topics import Topics

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Update(NamedTuple):
    """A shopper's events of this batch, in offset order, those among them that are new, the profile before and after.

    `discoveries` are the offsets of those by which they discovered an item.

    Without events the shopper is erased, and the profile empty, or of after the erasure. `joined` is what has moved to
    them from anonymous ids.
    """

    shopper: str
    events: list[AcceptedEvent]
    new: list[Arrival]
    before: Profile
    profile: Profile
    discoveries: frozenset[int]
    joined: Joined

    @property
    def gone(self) -> bool:
        """Whether there is no profile any more."""
        return self.profile.offset < 0

    @property
    def row(self) -> Row:
        """The row of the profile, or its deletion."""
        return self.shopper.encode(), None if self.gone else codecs.encode_profile(self.profile)


class _Due(NamedTuple):
    """A recommendation to make: to whom, by which profile, under which id, why now, and what else it rests on."""

    shopper: str
    profile: Profile
    key: str
    trigger: Trigger
    time: int
    rests_on: dict[str, int]


class _Said(NamedTuple):
    """A slate, by which model, and what it rests on: `topic/partition` → offset."""

    slate: Slate
    model: str
    as_of: dict[str, int]


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
    Pairs of items, and what anonymous shoppers bring to the users that they have logged in as, go out before any row,
    made from the profiles as they were: again after a crash, and alike.
    An erasure is entered in the ledger before the profile is deleted; what the ledger covers is passed over unread.
    """

    def __init__(
        self,
        topics: Topics,
        replica: Replica,
        policy: Policy,
        limits: Limits,
        learning: Learning = NOT_AT_ALL,
        *,
        speaks: bool = True,
    ) -> None:
        """A handler.

        Args:
            topics: of the shop.
            replica: the shared state.
            policy: how to recommend, and which candidates the ranker learns from.
            limits: what the edge lets through.
            learning: how the ranker learns.
            speaks: recommendations are made.
        """
        self._topics = topics
        self._replica = replica
        self._policy = policy
        self._limits = limits
        self._learning = learning
        self._speaks = speaks
        self._together: Together[Shopper | Moment, _Said | Example | None] = Together(self._answers, TOGETHER)
        self.observer: Observer | None = None

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """Fold a batch of the events topic, or of the merges topic."""
        return await (self._take_in if batch.topic == self._topics.merges.name else self._fold)(batch, read)

    async def _fold(self, batch: Batch, read: Reader) -> Effects:
        await self._limits.formats.learn(batch.records)
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
        updates = _updates(by_shopper, asked, read, self._limits)
        doings = [Doing(update.before, update.new, update.joined, update.shopper) for update in updates]
        moments = moments_of(doings, self._learning, self._replica.ranker.examples, self._limits.half_lives)
        dues = self._dues(batch, updates)
        sent, examples = await self._recommended(dues, moments)
        self._observe(updates, sent)
        lessons = example_records(self._topics.examples, batch.partition, examples)
        return Effects(
            deltas=[*self._deltas(batch.partition, updates, asked), *lessons],
            rows={
                "trending": self._popularity_rows(updates, read),
                "erasures": entered,
                "profiles": [update.row for update in updates],
            },
            outputs=[
                *self._void(batch.partition, updates),
                *self._sessions(dues, batch.partition),
                *self._addressed(sent, batch.partition),
            ],
            rejections=rejections,
        )

    async def _take_in(self, batch: Batch, read: Reader) -> Effects:
        taken = merges.taken_in(batch, read, self._limits, self._topics)
        own = read("profiles", [codecs.profile_keys(user)[0] for user in taken.joined])
        dues = []
        for (user, (joined, move)), row in zip(taken.joined.items(), own, strict=True):
            if joined.offset > batch.records[-1].offset:
                continue  # sent again from before: it was superseded, and sent
            before = codecs.decode_profile(row)
            # Readers compare offsets of the user's partition: theirs, of their own last event.
            trigger = Trigger(
                self._topics.events.name,
                batch.partition,
                before.offset,
                move.event,
                move.type,
                move.timestamp,
                move.item,
            )
            place = f"{batch.topic}/{batch.partition}"
            key = recommendation_id(user, f"merges/{batch.partition}", joined.offset, self._policy.name)
            profile = merging.whole(before, joined)
            dues.append(_Due(user, profile, key, trigger, _newest_time(profile, move.time), {place: joined.offset}))
        sent, _ = await self._recommended(dues, ())
        return Effects(
            deltas=taken.requests,
            rows={"profiles": taken.rows},
            outputs=[*self._sessions(dues, batch.partition), *self._addressed(sent, batch.partition)],
            rejections=taken.rejections,
        )

    def _deltas(self, partition: int, updates: Sequence[_Update], asked: Iterable[str]) -> list[Output]:
        pairs = (delta for update in updates for delta in cooccurrence.deltas(update.before.recent, update.new))
        moved = (
            moved
            for update in updates
            for moved in merges.moves_of(update.shopper, update.events, update.before, update.new, self._limits)
        )
        in_order = sorted(moved, key=lambda moved: moved[1].offset)
        return [
            *pair_records(self._topics.pairs, partition, sorted(pairs)),
            *merges.merge_records(self._topics.merges, partition, in_order),
            *merges.erasure_records(self._topics.merges, partition, asked),
        ]

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
        discoveries = frozenset[int]().union(*(update.discoveries for update in updates))
        return [
            (key, codecs.encode_popularity(trending.fold(old, sorted(arrivals), discoveries)))
            for (key, arrivals), old in zip(by_key.items(), before, strict=True)
        ]

    def _dues(self, batch: Batch, updates: Sequence[_Update]) -> list[_Due]:
        # A replay may redeliver events from before the row's offset: what they led to was superseded, and sent.
        current = [
            update for update in updates if update.events and update.events[-1].arrival.offset == update.profile.offset
        ]
        dues = []
        for update in current:
            last, offset = update.events[-1], update.profile.offset
            trigger = Trigger(
                batch.topic, batch.partition, offset, last.event.id, last.event.type, last.timestamp, last.event.item
            )
            profile = merging.whole(update.profile, update.joined)
            key = recommendation_id(update.shopper, str(batch.partition), offset, self._policy.name)
            rests_on = {f"{batch.topic}/{batch.partition}": offset}
            if update.joined.offset >= 0:
                rests_on[f"{self._topics.merges.name}/{batch.partition}"] = update.joined.offset
            dues.append(_Due(update.shopper, profile, key, trigger, _newest_time(profile, last.event.time), rests_on))
        return dues

    def _observe(self, updates: Sequence[_Update], sent: Iterable[Recommendation]) -> None:
        if self.observer is not None:
            events = [event for update in updates for event in update.events]
            self.observer.handled(events, len(events) - sum(len(update.new) for update in updates), sent)

    def _void(self, partition: int, updates: Sequence[_Update]) -> list[Output]:
        gone = [update.shopper.encode() for update in updates if update.gone]
        topics = self._topics.recommendations.name, self._topics.sessions.name
        return [Output(topic, shopper, None, partition) for topic in topics for shopper in gone]

    async def _recommended(
        self, dues: Sequence[_Due], moments: Sequence[Moment]
    ) -> tuple[list[Recommendation], list[Example]]:
        """What is due, and what moments teach; together with what other partitions ask meanwhile."""
        wanted = [Shopper(due.profile, due.time, due.key, due.shopper) for due in dues] if self._speaks else []
        answers = await self._together([*wanted, *moments])
        said = [answer for answer in answers if isinstance(answer, _Said)]
        sent = [
            Recommendation(
                id=due.key,
                user=due.shopper,
                time=due.time,
                trigger=due.trigger,
                items=one.slate.items,
                as_of={**one.as_of, **due.rests_on},
                model=one.model,
                policy=self._policy.name,
                stage=one.slate.stage,
            )
            for due, one in zip(dues, said, strict=self._speaks)
        ]
        return sent, [answer for answer in answers if isinstance(answer, Example)]

    async def _answers(self, asked: Sequence[Shopper | Moment]) -> list["_Said | Example | None"]:
        replica = self._replica.pinned()
        as_of, model = replica.rests_on(), replica.model
        shoppers = [one for one in asked if isinstance(one, Shopper)]
        moments = [one for one in asked if isinstance(one, Moment)]
        slates, examples = await recommend_and_learn(
            shoppers, moments, replica, self._policy, self._learning.candidates
        )
        said, taught = iter(slates), iter(examples)
        return [_Said(next(said), model, as_of) if isinstance(one, Shopper) else next(taught) for one in asked]

    def _sessions(self, dues: Iterable[_Due], partition: int) -> list[Output]:
        return [sessions.record_of(self._topics.sessions, due.shopper, due.profile, partition) for due in dues]

    def _addressed(self, sent: Iterable[Recommendation], partition: int) -> list[Output]:
        topic = self._topics.recommendations.name
        return [Output(topic, one.user.encode(), _encode(one), partition) for one in sent]


def _updates(
    by_shopper: dict[str, list[AcceptedEvent]], asked: dict[str, Erasure], read: Reader, limits: Limits
) -> list[_Update]:
    """What becomes of the shoppers; what was before an erasure that they `asked` for counts no more."""
    keys = [codecs.profile_keys(shopper) for shopper in by_shopper]
    rows = read("profiles", [key for pair in keys for key in pair])
    updates = []
    for (shopper, events), own, moved in zip(by_shopper.items(), rows[::2], rows[1::2], strict=True):
        before, joined = codecs.decode_profile(own), codecs.decode_joined(moved)
        if before.offset < asked.get(shopper, Erasure()).offset:
            before = Profile()
        arrivals = [event.arrival for event in events]
        new = profiles.fresh(before, arrivals)
        after = Absorbed(before)
        if arrivals:
            after = profiles.absorbed(before, new, arrivals[-1].offset, limits.half_lives)
        updates.append(_Update(shopper, events, new, before, *after, Joined() if shopper in asked else joined))
    return updates


def recommendation_id(shopper: str, place: str, offset: int, policy: str) -> str:
    """The id of what is recommended to a shopper after the record at an offset of a place: 32 hex digits.

    `place` is the partition of the events, or `merges/PARTITION`.
    """
    return blake2b(f"{shopper}\0{place}\0{offset}\0{policy}".encode(), digest_size=16).hexdigest()


def _newest_time(profile: Profile, time: int) -> int:
    """Event time that a recommendation holds for: that of the newest event known of the shopper; `time` of the last."""
    return max(time, profile.recent[-1].time if profile.recent else 0)
