"""The shapes of other recommenders' files, brought to flat rows that a mapping reads.

Gorse (https://gorse.io/docs/concepts/data-source): feedback and items as its dashboard exports them (CSV) and its API
takes and gives them (JSON). Metarank (docs.metarank.ai, event schema): one file of item, user, ranking and
interaction events, JSON Lines.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from streams.importers import values
from streams.importers.mapping import Fields, RefusedError, plain
from streams.importers.rows import Shape
from streams.importers.values import UnfitError
from streams.jsonl import Kind

Prepare = Callable[[Fields], list[Fields]]
"""A row as the rows that it stands for; none where it is of another kind. Raises RefusedError."""


class Format(StrEnum):
    """What wrote the files."""

    GORSE = "gorse"
    METARANK = "metarank"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def shape_of(form: Format, path: Path) -> Shape:
    """How a file of this format holds its rows."""
    if form is Format.GORSE:
        return Shape.CSV if ".csv" in path.suffixes else Shape.JSONL
    return Shape.JSONL if form is Format.METARANK else Shape(form.value)


def preparer(form: Format, kind: Kind) -> Prepare:
    """What brings the rows of this format to flat ones."""
    match form, kind:
        case Format.GORSE, Kind.EVENTS:
            return _gorse_feedback
        case Format.GORSE, Kind.CATALOGUE:
            return _gorse_item
        case Format.METARANK, Kind.EVENTS:
            return _metarank_event
        case Format.METARANK, Kind.CATALOGUE:
            return _MetarankItems()
    return lambda row: [row]


def _gorse_feedback(row: Fields) -> list[Fields]:
    found = {plain(name): value for name, value in row.items()}
    found["type"] = found.pop("feedbacktype", None)
    if found.get("value") in (0, "0", "0.0"):  # Gorse's way to say that there is none
        del found["value"]
    return [found]


def _gorse_item(row: Fields) -> list[Fields]:
    found = {plain(name): value for name, value in row.items()}
    found.pop("timestamp", None)
    hidden, comment = found.pop("ishidden", None), found.pop("comment", None) or found.pop("description", None)
    item = {"id": found.pop("itemid", None), "category": found.pop("categories", None)}
    try:
        if not values.missing(hidden):
            item["available"] = not values.truth(hidden)
    except UnfitError as error:
        raise RefusedError("available", str(error)) from None
    # An item of Gorse has no title: what its dashboard shows for it is the comment.
    item["title"] = item["id"] if values.missing(comment) else comment
    return [item | _labels(found.pop("labels", None)) | found]


def _labels(labels: Any) -> Fields:
    """Labels by name; a list of them, which has no names, under `labels`. Vectors are left out."""
    if isinstance(labels, str) and labels.lstrip().startswith(("{", "[", "null")):
        try:
            labels = json.loads(labels)
        except ValueError:
            raise RefusedError("labels", "no JSON, although it looks like it") from None
    if isinstance(labels, str) and not values.missing(labels):
        labels = labels.split("|")
    if isinstance(labels, list):
        labels = {"labels": labels}
    if not isinstance(labels, dict):
        return {}
    return {name: value for name, value in labels.items() if not _vector(value)}


def _vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, int | float) for part in value)


def _metarank_event(row: Fields) -> list[Fields]:
    event = row.get("event")
    if event in ("item", "user"):
        return []
    base = _metarank_fields(row) | {
        name: value for name, value in row.items() if name not in ("event", "fields", "items")
    }
    if values.missing(base.get("user")):
        base["anonymous_id"] = base.get("session")
    if event == "interaction":
        return [base]
    if event != "ranking":
        raise RefusedError("event", "wanted item, user, ranking or interaction")
    shown = row.get("items")
    if not isinstance(shown, list) or not all(isinstance(item, dict) and "id" in item for item in shown):
        raise RefusedError("items", "wanted a list of objects with an id")
    ranking = base.pop("id", None)
    return [
        base | {"id": f"{ranking}/{item['id']}", "type": "impression", "item": item["id"], "ranking": ranking}
        for item in shown
    ]


class _MetarankItems:
    """Items put together from events that each carry some of their fields; the newest value of a field counts."""

    def __init__(self) -> None:
        self._items: dict[str, Fields] = {}

    def __call__(self, row: Fields) -> list[Fields]:
        if row.get("event") in ("user", "ranking", "interaction"):
            return []
        if row.get("event") != "item":
            raise RefusedError("event", "wanted item, user, ranking or interaction")
        item = row.get("item")
        if not isinstance(item, str):
            raise RefusedError("id", "wanted text in `item`")
        self._items[item] = self._items.get(item, {}) | _metarank_fields(row) | {"id": item}
        return [dict(self._items[item])]


def _metarank_fields(row: Fields) -> Fields:
    given = row.get("fields") or []
    if not isinstance(given, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in given
    ):
        raise RefusedError("fields", "wanted a list of objects with name and value")
    return {one["name"]: one.get("value") for one in given if not _vector(one.get("value"))}
