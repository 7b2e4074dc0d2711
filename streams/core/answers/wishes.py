"""What items should be like: the values that a text names, as conditions of the rules language."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from streams.core.answers import cues
from streams.core.answers.lexicon import Lexicon, Meaning
from streams.core.answers.words import STOP, joined, phrase, placed, words
from streams.core.rules.syntax import All, Among, Any, Comparison, Condition, Field, Not, Operator, Value


class Wanted(NamedTuple):
    """What a text wants.

    Attributes:
        condition: what items have to meet.
        softly: categories, which are also words of titles.
        said: the words that said what is wanted.
        refused: the words that said what is not.
    """

    condition: Condition | None
    softly: Condition | None
    said: frozenset[str]
    refused: frozenset[str]


class _Span(NamedTuple):
    start: int
    end: int
    meanings: list[Meaning]


def wanted(text: str, lexicon: Lexicon) -> Wanted:
    """The values that a normal text names, in the catalogue's own words or in others that say the same."""
    found = placed(text)
    groups: list[list[Meaning]] = []
    unwanted: list[Meaning] = []
    said: set[str] = set()
    refused: set[str] = set()
    for start, end, meanings in _spans([one.word for one in found], lexicon):
        spoken = [one.word for one in found[start:end]]
        if cues.NOT.search(text[: found[start].start]):
            refused.update(spoken)
            unwanted += meanings
        else:
            said.update(spoken)
            groups.append(meanings)
    firmly: list[Condition] = [Not(_any_of([meaning])) for meaning in unwanted]
    softly: list[Condition] = []
    for meanings in _by_field(groups):
        soft = any(meaning.field == "category" and not meaning.attribute for meaning in meanings)
        (softly if soft else firmly).append(_any_of(meanings))
    return Wanted(both(firmly), both(softly), frozenset(said), frozenset(refused))


def both(parts: Sequence[Condition | None]) -> Condition | None:
    """All of some conditions; None for none."""
    given = tuple(part for part in parts if part is not None)
    return None if not given else given[0] if len(given) == 1 else All(given)


def _by_field(groups: Sequence[list[Meaning]]) -> list[list[Meaning]]:
    """Two values of one field are a choice; values of two fields are to hold together."""
    joined_up: list[list[Meaning]] = []
    for meanings in groups:
        fields = {(meaning.field, meaning.attribute) for meaning in meanings}
        alike = [other for other in joined_up if fields & {(m.field, m.attribute) for m in other}]
        joined_up = [other for other in joined_up if other not in alike]
        joined_up.append([meaning for other in [*alike, meanings] for meaning in other])
    return joined_up


def _spans(found: Sequence[str], lexicon: Lexicon) -> list[_Span]:
    """Where values are named: the catalogue's own words first, then those that say the same as some of its."""
    spans = []
    taken: set[int] = set()
    for start, end, meanings in lexicon.spans(found):
        if not all(word in STOP for word in found[start:end]):
            spans.append(_Span(start, end, [*meanings, *_alike(joined(found[start:end]), lexicon)]))
            taken.update(range(start, end))
    others = [
        _Span(start, start + len(parts), _alike(phrase(name), lexicon))
        for name in chain.from_iterable(cues.ALIKE)
        for parts in [words(name)]
        for start in range(len(found) - len(parts) + 1)
        if list(found[start : start + len(parts)]) == parts
    ]
    for span in sorted(others, key=lambda span: span.start - span.end):
        if span.meanings and not taken.intersection(range(span.start, span.end)):
            taken.update(range(span.start, span.end))
            spans.append(span)
    return sorted(spans, key=lambda span: span.start)


def _alike(key: str, lexicon: Lexicon) -> list[Meaning]:
    """Values of attributes that are called otherwise than a phrase and say the same."""
    return [
        m for other in cues.alike(key) if phrase(other) != key for m in lexicon.meanings(phrase(other)) if m.attribute
    ]


def _any_of(meanings: Sequence[Meaning]) -> Condition:
    """One of some values: one condition for each field."""
    values: dict[Field, dict[Value, None]] = {}
    for meaning in meanings:
        values.setdefault(Field(meaning.field, meaning.attribute), {})[meaning.value] = None
    parts: list[Condition] = [
        Among(field, tuple(some)) if len(some) > 1 else Comparison(field, Operator.EQUAL, next(iter(some)))
        for field, some in values.items()
    ]
    return parts[0] if len(parts) == 1 else Any(tuple(parts))
