"""The wire format of every JSON topic: msgspec Structs, from which the JSON Schemas in docs/ are generated.

Unknown fields are ignored, so that producers may send more than Upwell reads. All times are integers,
milliseconds since the Unix epoch (UTC).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streams.core.events import EventType

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999, description="milliseconds since the Unix epoch, UTC")]
Scalar = str | float | bool | None
Attributes = dict[Annotated[str, Meta(max_length=128)], Scalar]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing a shopper did. Key of the record: `user`, else `anonymous_id`."""

    id: Annotated[Id, Meta(description="unique per event; a second record with the same id is a duplicate")]
    type: Annotated[EventType, Meta(description="what happened")]
    time: Annotated[Millis, Meta(description="when it happened (event time), Unix milliseconds")]
    user: Annotated[Id, Meta(description="known shopper")] | None = None
    item: Annotated[Id, Meta(description="item id; required for every type but `search`")] | None = None
    value: (
        Annotated[float, Meta(description="stars for `rating` (1 to 5); quantity for `purchase` and `return`")] | None
    ) = None
    session: Annotated[Id, Meta(description="browsing session, order or basket")] | None = None
    anonymous_id: Annotated[Id, Meta(description="cookie or device id of a shopper who is not logged in")] | None = None
    query: Annotated[str, Meta(max_length=1024, description="search text")] | None = None
    attributes: Annotated[Attributes, Meta(description="anything else: device, country, campaign")] | None = None
    alias: Annotated[Id, Meta(description="for `login`: the user whom the `anonymous_id` has logged in as")] | None = (
        msgspec.field(name="as", default=None)
    )


class CatalogueItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item as it is now. Key of the record: the item id. A null value deletes the item."""

    id: Id
    title: Annotated[str, Meta(min_length=1, max_length=2048)]
    description: Annotated[str, Meta(max_length=65_536)] = ""
    category: Annotated[
        list[Annotated[str, Meta(max_length=256)]], Meta(max_length=16, description="path, broadest first")
    ] = []
    brand: Annotated[str, Meta(max_length=256)] | None = None
    price: Annotated[float, Meta(ge=0)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")] | None = None
    available: bool = True
    rating: Annotated[float, Meta(ge=0, le=5, description="mean stars")] | None = None
    language: Annotated[str, Meta(max_length=35, description="BCP 47")] | None = None
    attributes: Attributes = {}
    image_vector: (
        Annotated[list[float], Meta(max_length=4096, description="embedding of the picture, by the producer")] | None
    ) = None


class Cited(msgspec.Struct, frozen=True, gc=False):
    """An event of the shopper that a reason rests on."""

    item: str
    type: EventType
    time: int


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an item is recommended. The shares of an item's reasons sum to 1."""

    channel: Annotated[
        str,
        Meta(
            description="which channel proposed it: "
            "content, popular, buy_again, neighbours, segment, sessions, discovered, arrivals, fresh"
        ),
    ]
    share: Annotated[float, Meta(ge=0, le=1, description="part of the score that came through this channel")]
    text: Annotated[str, Meta(description="in words, for people")]
    because: Annotated[list[Cited], Meta(description="the shopper's events it rests on, strongest first")] = []


class RecommendedItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One place of a recommendation."""

    rank: Annotated[int, Meta(ge=1)]
    item: str
    score: Annotated[float, Meta(description="of ranker or fusion; comparable within one recommendation only")]
    channel: Annotated[str, Meta(description="the channel with the largest share")]
    reasons: list[Reason]
    propensity: (
        Annotated[
            float,
            Meta(description="of a place that is open to exploration: the chance that the item had to be there"),
        ]
        | None
    ) = None


class Trigger(msgspec.Struct, frozen=True):
    """The event that brought this recommendation about."""

    topic: str
    partition: int
    offset: int
    event: str
    type: EventType
    timestamp: Annotated[int, Meta(description="the event record's Kafka timestamp, Unix milliseconds")]
    item: str | None = None


class Recommendation(msgspec.Struct, frozen=True):
    """What to show a shopper now. Key of the record: the shopper.

    `id` is a function of shopper, source offset and policy: a re-sent recommendation has the id it had before.
    """

    id: str
    user: str
    time: Annotated[int, Meta(description="event time it holds for: the newest event it knows of, Unix milliseconds")]
    trigger: Trigger
    items: list[RecommendedItem]
    as_of: Annotated[
        dict[str, int], Meta(description="`topic/partition` → offset of the last input record it rests on")
    ]
    model: Annotated[str, Meta(description="encoder version that made the vectors")]
    policy: str
    stage: Annotated[str, Meta(description="cold-start stage: `profile`, `segment` or `popularity`")]


Slot = Literal["embeddings", "embeddings_b"]


class ServedModel(msgspec.Struct, frozen=True):
    """A model whose vectors are on a topic of embeddings."""

    slot: Annotated[Slot, Meta(description="which of the two topics")]
    model: Annotated[str, Meta(description="what workers load: NAME@VERSION")]
    id: Annotated[str, Meta(description="what is stamped on its vectors: the model and how items become texts")]
    role: Annotated[str, Meta(description="name of the encoder role, and of its consumer group, that makes them")]


class ModelPlan(msgspec.Struct, frozen=True):
    """Which model serves, and which one is to follow it. Key of the record: `encoder`. The newest record holds."""

    serving: ServedModel
    next: ServedModel | None = None
    rate: Annotated[float, Meta(ge=0, description="items that a worker encodes a second for `next`; 0: no limit")] = 0.0


Asking = Annotated[str, Meta(min_length=1, max_length=1024, description="the question, in English or Chinese")]
Asker = Annotated[Id, Meta(description="shopper whose taste counts among items that fit")]
Language = Annotated[
    str, Meta(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="BCP 47; otherwise told by the text")
]
Named = Annotated[int, Meta(ge=1, le=20, description="items to name at most")]


class Question(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What somebody asks in plain words. Key of the record: `user`, else `id`."""

    id: Annotated[Id, Meta(description="unique per question; one that is sent again is answered under the same id")]
    text: Asking
    time: Annotated[Millis, Meta(description="when it was asked, Unix milliseconds")]
    user: Asker | None = None
    language: Language | None = None
    n: Named = 3


class AnswerItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item that an answer rests on, as the catalogue has it."""

    item: str
    title: str
    available: bool
    price: float | None = None
    currency: str | None = None
    alternative: Annotated[bool, Meta(description="it was not asked for: something like what was")] = False


class Quotation(msgspec.Struct, frozen=True):
    """A piece of an answer's text, and where it is from."""

    item: Annotated[str, Meta(description="item id; empty for the question's own words")]
    field: Annotated[str, Meta(description="field of the item's record, `attributes.NAME` for attributes")]
    text: str


class Answer(msgspec.Struct, frozen=True):
    """An answer to a question, grounded in the catalogue. Key of the record: that of the question.

    `id` is a function of question and user: an answer that is sent again has the id it had before.
    """

    id: str
    question: Annotated[str, Meta(description="id of the question")]
    user: str | None
    time: Annotated[int, Meta(description="of the question, Unix milliseconds")]
    kind: Annotated[str, Meta(description="find, price, stock, attribute, describe, compare, alternatives, or unknown")]
    language: Annotated[str, Meta(description="of the text")]
    text: Annotated[str, Meta(description="the answer, plain text")]
    exact: Annotated[bool, Meta(description="the items are what was asked for, and not only near to it in meaning")]
    items: Annotated[list[AnswerItem], Meta(description="that it rests on, best first")]
    quotes: Annotated[list[Quotation], Meta(description="all that the text took from items and question")]
    filter: Annotated[str | None, Meta(description="what the items had to meet, in the rules language")]
    as_of: Annotated[dict[str, int], Meta(description="`topic/partition` → offset of the last record it rests on")]
    model: Annotated[str, Meta(description="encoder version whose vectors it was found by; empty for none")]
    policy: str


class DeadLetter(msgspec.Struct, frozen=True):
    """The headers of a record on the dead-letter topic (text, UTF-8), beside the record's own headers.

    Key and value are those of the refused record, byte for byte.
    """

    reason: Annotated[str, Meta(description="header `upwell.reason`: undecodable, invalid, oversize, wrong-key, …")]
    detail: Annotated[str, Meta(description="header `upwell.detail`: for people")]
    topic: Annotated[str, Meta(description="header `upwell.topic`: where it came from")]
    partition: Annotated[int, Meta(description="header `upwell.partition`")]
    offset: Annotated[int, Meta(description="header `upwell.offset`")]
    timestamp: Annotated[int, Meta(description="header `upwell.timestamp`: its Kafka timestamp")]


RECORDS: dict[str, type[msgspec.Struct]] = {
    record.__name__: record
    for record in (Event, CatalogueItem, Recommendation, Question, Answer, ModelPlan, DeadLetter)
}
"""By the name that `streams.topics` uses."""
