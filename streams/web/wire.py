"""What HTTP requests may say and what they are answered: msgspec Structs, for parsing and for the OpenAPI document."""

from typing import Annotated

import msgspec
from msgspec import Meta

from streams.records import Asker, Asking, Id, Language, Named, RecommendedItem

Count = Annotated[int, Meta(ge=1, le=200, description="how many items")]
AsOf = Annotated[
    dict[str, int], Meta(description="`topic/partition` → offset of the last input record that the answer rests on")
]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what requests say: what is not described is refused."""


class UserAsked(Asked, frozen=True):
    """A shopper."""

    id: Annotated[Id, Meta(description="the shopper: key of their events")]


Filter = Annotated[str, Meta(max_length=1000, description="rules language: only items that meet it")]


class RecommendationsAsked(UserAsked, frozen=True):
    """Recommendations for a shopper."""

    n: Count | None = None
    filter: Filter | None = None
    boost: (
        Annotated[str, Meta(max_length=1000, description="rules language: CONDITION by FACTOR, preferred items")] | None
    ) = None
    diversity: (
        Annotated[float, Meta(ge=0, le=1, description="1 ranks by score alone, less trades score for difference")]
        | None
    ) = None
    explain: Annotated[bool, Meta(description="give the reasons of each item")] = True
    context: Annotated[
        list[Id], Meta(max_length=10, description="items that the shopper looks at right now; they are not recorded")
    ] = []


class ItemAsked(Asked, frozen=True):
    """What goes with an item."""

    id: Annotated[Id, Meta(description="item id")]
    n: Count = 20
    filter: Filter | None = None


class TrendingAsked(Asked, frozen=True):
    """What is popular now."""

    n: Count = 20
    category: Annotated[str, Meta(max_length=256, description="only items of this (finest) category")] | None = None
    filter: Filter | None = None


class SearchAsked(Asked, frozen=True):
    """Items whose text is near to a text."""

    text: Annotated[str, Meta(min_length=1, max_length=1024)]
    n: Count = 20
    filter: Filter | None = None


class AnswersAsked(Asked, frozen=True):
    """A question in plain words."""

    text: Asking
    user: Asker | None = None
    language: Language | None = None
    n: Named = 3
    id: Annotated[Id, Meta(description="of the question; otherwise a function of text and user")] | None = None


class Recommendations(msgspec.Struct, frozen=True):
    """What to show a shopper now; the items are those that the recommendations topic carries."""

    user: str
    time: Annotated[int, Meta(description="event time it holds for, Unix milliseconds; 0 for a shopper not known")]
    items: list[RecommendedItem]
    titles: Annotated[dict[str, str], Meta(description="title of every item named in here")]
    as_of: AsOf
    model: Annotated[str, Meta(description="encoder version that made the vectors")]
    policy: str
    stage: Annotated[str, Meta(description="cold-start stage: `profile` or `popularity`")]


class ListedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item of a list, best first."""

    item: str
    title: str
    score: Annotated[float, Meta(description="cosine, or what the list is ranked by")] | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None


class Items(msgspec.Struct, frozen=True):
    """Items, best first."""

    items: list[ListedItem]
    as_of: AsOf


class LineError(msgspec.Struct, frozen=True):
    """A line that was refused."""

    line: Annotated[int, Meta(ge=1)]
    detail: str


class Ingested(msgspec.Struct, frozen=True):
    """What became of the lines. Accepted ones are on their topic, acknowledged by all replicas."""

    accepted: Annotated[int, Meta(ge=0)]
    refused: Annotated[int, Meta(ge=0)]
    errors: Annotated[list[LineError], Meta(description="of the refused lines; the first 1,000 of them")]


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool


class Ready(msgspec.Struct, frozen=True):
    """Whether it can do its work, and what keeps it from it."""

    ready: bool
    troubles: dict[str, str]
