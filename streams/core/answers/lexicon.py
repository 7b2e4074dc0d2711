"""The catalogue's own words: which items a word is about, and which values of which fields it is.

    title, brand, category, attributes ─► word   → items
    brand, category, attributes        ─► phrase → values of fields, with how many items have them

Kept current item by item, so that a question costs what its words cost, however large the catalogue is.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, Protocol, TypeVar

from streams.core.answers.words import STOP, joined, known_words, language, words
from streams.core.rules.syntax import Value

T = TypeVar("T")

MAX_WORDS = 8
"""Values of more words are no names of anything: they are only found by their words."""


class Entry(Protocol):
    """What is read of an item: `streams.records.CatalogueItem`."""

    @property
    def title(self) -> str: ...
    @property
    def category(self) -> Sequence[str]: ...
    @property
    def brand(self) -> str | None: ...
    @property
    def attributes(self) -> Mapping[str, Value | None]: ...


class Meaning(NamedTuple):
    """A value of a field of items. `attribute` for attributes; `category` is the finest, whatever level was named."""

    field: str
    value: Value
    attribute: bool = False


class Match(NamedTuple):
    """Items with most of some words, those with fewest words beside them first; which words none of them has."""

    items: list[str]
    missing: list[str]


class _Known(NamedTuple):
    words: tuple[str, ...]
    title: tuple[str, ...]
    meanings: tuple[tuple[str, Meaning], ...]
    names: tuple[tuple[str, str], ...]
    scripts: frozenset[str]


class Lexicon:
    """The words of a catalogue. Empty at first; `put` keeps it current."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._items: defaultdict[str, set[str]] = defaultdict(set)
        self._meanings: defaultdict[str, Counter[Meaning]] = defaultdict(Counter)
        self._names: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._scripts: Counter[str] = Counter()

    def __contains__(self, item: str) -> bool:
        return item in self._known

    def put(self, item: str, entry: Entry | None) -> None:
        """Set what is known of an item; None for one that is gone."""
        if (old := self._known.pop(item, None)) is not None:
            self._forget(item, old)
        if entry is None:
            return
        new = self._known[item] = _known(item, entry)
        for word in new.words:
            self._items[word].add(item)
        for key, meaning in new.meanings:
            self._meanings[key][meaning] += 1
        for key, name in new.names:
            self._names[key][name] += 1
        self._scripts.update(new.scripts)

    def _forget(self, item: str, old: _Known) -> None:
        for word in old.words:
            self._items[word].discard(item)
            if not self._items[word]:
                del self._items[word]
        for key, meaning in old.meanings:
            _less(self._meanings, key, meaning)
        for key, name in old.names:
            _less(self._names, key, name)
        self._scripts.subtract(old.scripts)

    def knows(self, word: str) -> bool:
        """Whether a word (stemmed) is about any item."""
        return word in self._items

    def meanings(self, key: str) -> list[Meaning]:
        """The values that a phrase names, those of most items first."""
        found = self._meanings.get(key, Counter())
        return sorted(found, key=lambda meaning: (-found[meaning], meaning.field, str(meaning.value)))

    def names(self, key: str) -> list[str]:
        """The attributes that a phrase is the name of, as items spell them, those of most items first."""
        found = self._names.get(key, Counter())
        return sorted(found, key=lambda name: (-found[name], name))

    def names_with(self, key: str) -> list[str]:
        """The attributes in whose names a phrase occurs, in order."""
        return sorted(name for names in self._names if f" {key} " in f" {names} " for name in self._names[names])

    def speaks(self, language: str) -> bool:
        """Whether any title has words in the script of a language: `zh`, or any other for Latin."""
        return self._scripts["zh" if language == "zh" else "en"] > 0

    def match(self, wanted: Sequence[str]) -> Match:
        """The items with as many of some words (stemmed) as any can have, the rarest words first."""
        known = sorted(
            (word for word in wanted if word in self._items), key=lambda word: (len(self._items[word]), word)
        )
        missing = [word for word in wanted if word not in self._items]
        found: set[str] = set()
        for place, word in enumerate(known):
            narrowed = self._items[word] if place == 0 else found & self._items[word]
            if narrowed:
                found = narrowed
            else:
                missing.append(word)
        return Match(sorted(found, key=lambda item: (len(self._known[item].title), item)), missing)

    def is_called(self, item: str, found: Sequence[str]) -> bool:
        """Whether words (stemmed) hold all of an item's title."""
        return set(self._known[item].title) - STOP <= set(found)

    def spans(self, found: Sequence[str]) -> Iterator[tuple[int, int, list[Meaning]]]:
        """Where values are named among words: from, to (exclusive), what; the longest first, none inside another."""
        return _spans(found, self.meanings)

    def named(self, found: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
        """Where attributes are named among words, as `spans`."""
        return _spans(found, self.names)


def _spans(found: Sequence[str], lookup: Callable[[str], list[T]]) -> Iterator[tuple[int, int, list[T]]]:
    start = 0
    while start < len(found):
        step = 1
        for end in range(min(len(found), start + MAX_WORDS), start, -1):
            if known := lookup(joined(found[start:end])):
                yield start, end, known
                step = end - start
                break
        start += step


def _less(counts: dict[str, Counter[T]], key: str, value: T) -> None:
    counts[key][value] -= 1
    if not counts[key][value]:
        del counts[key][value]
    if not counts[key]:
        del counts[key]


def _known(item: str, entry: Entry) -> _Known:
    path = tuple(level for level in entry.category if level)
    said = list(_of_path(path))
    if entry.brand:
        said.append(_named("brand", entry.brand, attribute=False))
    names = []
    found = {*words(entry.title), *words(item), *chain.from_iterable(map(known_words, path))}
    found.update(known_words(entry.brand or ""))
    for name, value in entry.attributes.items():
        if value is None:
            continue
        key, _ = called = _name(name)
        names.append(called)
        if value is True:
            found.update(known_words(name))
            said.append((key, Meaning(name, True, attribute=True)))
        elif isinstance(value, str):
            found.update(known_words(value))
            said.append(_named(name, value, attribute=True))
    title = tuple(dict.fromkeys(words(entry.title)))
    meanings = tuple((key, meaning) for key, meaning in dict.fromkeys(said) if key and key.count(" ") < MAX_WORDS)
    scripts = frozenset("en" if word.isascii() else language(word) for word in title if not word.isdecimal())
    return _Known(tuple(found), title, meanings, tuple(names), scripts)


# Shared by the items that have them: what an item holds of its own is little.
@lru_cache(1 << 16)
def _named(field: str, value: str, *, attribute: bool) -> tuple[str, Meaning]:
    return joined(known_words(value)), Meaning(field, value, attribute)


@lru_cache(1 << 12)
def _name(name: str) -> tuple[str, str]:
    return joined(known_words(name)), name


@lru_cache(1 << 16)
def _of_path(path: tuple[str, ...]) -> tuple[tuple[str, Meaning], ...]:
    return tuple((joined(known_words(level)), Meaning("category", path[-1])) for level in path)
