"""A question in plain words becomes a plan. Deterministic: the same question and catalogue give the same plan.

    question ─► limits of prices ─► order ─► turns of phrase ─► what is left, in the catalogue's own words
                    │                 │            │                │            └─► named items
                    └─────────────────┴────────────┴────────────────┴─► plan        values of fields

Words that the catalogue does not know are never guessed at: they are in `Plan.unmet`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from streams.core.answers import cues, wishes
from streams.core.answers.lexicon import Lexicon, Match
from streams.core.answers.plan import Focus, Kind, Plan
from streams.core.answers.words import STOP, joined, language, normal, phrase, placed, telling, words
from streams.core.rules.syntax import Comparison, Field, Operator

MOST_NAMED = 50
"""Items that a name may fit."""

_END = re.compile(r"[?!.。\s]+$")
_BUT = re.compile(r"\bbut\b|但是?|不过")
_ASKED_FOR = frozenset(map(phrase, chain.from_iterable(cues.ASKED_FOR)))
_WHICH = re.compile(r"(?:which|哪[些款个种]?)\s*(.*)")


def read(question: str, lexicon: Lexicon) -> Plan:
    """What a question asks for.

    Args:
        question: as it was asked.
        lexicon: of the catalogue.
    """
    text = _END.sub("", normal(question))
    prices, rest = cues.prices(text)
    cheaper, rest = cues.cheaper(rest)
    order, rest = cues.order(rest)
    kinds, rest = cues.kinds(rest)
    about = telling(rest)
    foreign = bool(about) and not lexicon.speaks(language(question)) and not any(map(lexicon.knows, about))
    plan = Plan(
        Kind.UNKNOWN,
        language(question),
        text=_sentence(rest) if about else "",
        condition=prices.condition,
        foreign=foreign,
        order=order,
        currencies=prices.currencies,
        cheaper=cheaper,
    )
    limited = prices.condition is not None or order is not None
    if Kind.COMPARE in kinds and (sides := _sides(rest, lexicon)):
        return replace(plan, kind=Kind.COMPARE, named=sides)
    if about and (Kind.ALTERNATIVES in kinds or cheaper):
        return _alternatives(plan, rest, lexicon)
    if about and not limited:
        for kind in (Kind.PRICE, Kind.STOCK):
            if kind in kinds and not (kind is Kind.STOCK and Kind.FIND in kinds):
                return _of_items(plan, kind, about, rest, lexicon)
        if Kind.FIND not in kinds and (asked := _asked(text, rest, lexicon)) is not None:
            return replace(_of_items(plan, Kind.ATTRIBUTE, asked[1], rest, lexicon), focus=asked[0])
        if Kind.DESCRIBE in kinds:
            return _of_items(plan, Kind.DESCRIBE, about, rest, lexicon)
    found = lexicon.match(about)
    service = cues.SERVICE.search(text)
    if service and not limited and not all(map(lexicon.knows, telling(service[0]))):
        return plan
    known = len(about) - len(found.missing)
    if kinds or limited or foreign or _WHICH.match(rest) or (known and 2 * known >= len(about)):
        return _find(plan, found, rest, lexicon, wants_stock=Kind.STOCK in kinds)
    return replace(plan, unmet=_spelled(found.missing, rest))


def discreet(plan: Plan) -> Plan:
    """A plan that repeats nothing of the question but what is in the catalogue or is what attributes are called.

    Words that nobody knows may be anything: a name, an address.
    """
    focus = tuple(one for one in plan.focus if one.field or one.names or phrase(one.asked) in _ASKED_FOR)
    told = plan.kind is not Kind.ATTRIBUTE or focus
    return replace(plan, unmet=(), focus=focus, kind=plan.kind if told else Kind.DESCRIBE)


def _find(plan: Plan, found: Match, rest: str, lexicon: Lexicon, *, wants_stock: bool) -> Plan:
    wanted = wishes.wanted(rest, lexicon)
    if wanted.refused:
        found = lexicon.match([word for word in telling(rest) if word not in wanted.refused])
    stock = [Comparison(Field("available"), Operator.EQUAL, True)] if wants_stock else []
    missing = [word for word in found.missing if word not in wanted.said]
    return replace(
        plan,
        kind=Kind.FIND,
        named=() if missing else tuple(found.items),
        partly=tuple(found.items) if missing and 2 * len(missing) <= len(telling(rest)) else (),
        condition=wishes.both([plan.condition, wanted.condition, *stock]),
        softly=wanted.softly if found.missing else None,  # else the titles say it themselves
        unmet=() if plan.foreign else _spelled(missing, rest),
    )


def _alternatives(plan: Plan, rest: str, lexicon: Lexicon) -> Plan:
    """`something like the claw hammer but with a wooden handle`: what is named, and what is wished."""
    name, wish = (*_BUT.split(rest, maxsplit=1), "")[:2]
    found = _of_items(plan, Kind.ALTERNATIVES, telling(name), name, lexicon)
    return replace(found, condition=wishes.both([plan.condition, wishes.wanted(wish, lexicon).condition]))


def _of_items(plan: Plan, kind: Kind, about: Sequence[str], rest: str, lexicon: Lexicon) -> Plan:
    """A plan about items that are named; about none where most of the name is not known."""
    found = lexicon.match(about)
    fits = len(about) > 2 * len(found.missing)
    whole = fits and found.items and lexicon.is_called(found.items[0], about)
    return replace(
        plan,
        kind=kind,
        named=tuple(found.items[: 1 if whole else MOST_NAMED]) if fits else (),
        unmet=() if plan.foreign else _spelled(found.missing, rest),
    )


def _sides(rest: str, lexicon: Lexicon) -> tuple[str, ...]:
    """The two items that stand on both sides of some `and` or `or`; none where there are no two."""
    best: tuple[int, tuple[str, ...]] = (1_000_000, ())
    for between in cues.AND.finditer(rest):
        left, right = (telling(side) for side in (rest[: between.start()], rest[between.end() :]))
        one, other = lexicon.match(left), lexicon.match(right)
        missing = len(one.missing) + len(other.missing)
        if one.items and other.items and 2 * missing < len(left) + len(right) and missing < best[0]:
            second = next((item for item in other.items if item != one.items[0]), None)
            if second is not None:
                best = missing, (one.items[0], second)
    return best[1]


def _asked(text: str, rest: str, lexicon: Lexicon) -> tuple[tuple[Focus, ...], list[str]] | None:
    """The fields that are asked for, and the words that name the item; None where no field is asked for."""
    yes_or_no = cues.YES_OR_NO.search(text) is not None
    if not (yes_or_no or cues.WHICH.search(text)):
        return None
    focus, left = _fields(rest, lexicon)
    if (which := _WHICH.match(rest)) and not any(which[1].startswith(one.asked) for one in focus):
        return None  # `which hammers are waterproof`: they are to be found
    about = telling(left)
    if not focus and yes_or_no:
        focus = _said(about, left, lexicon)
        about = [word for word in about if word not in {w for one in focus for w in words(one.asked)}]
    return (tuple(focus), about) if focus and about else None


def _fields(rest: str, lexicon: Lexicon) -> tuple[list[Focus], str]:
    """The fields that a text names, and the text without them."""
    focus = []
    found = placed(rest)
    left = rest
    for start, end, names in reversed(list(lexicon.named([one.word for one in found]))):
        if not all(one.word in STOP for one in found[start:end]):
            begin, stop = found[start].start, found[end - 1].end
            key = joined([one.word for one in found[start:end]])
            others = [name for other in cues.alike(key, cues.ASKED_FOR) for name in lexicon.names_with(phrase(other))]
            focus.append(Focus(rest[begin:stop], names=tuple(dict.fromkeys([*names, *others]))))
            left = left[:begin] + cues.GAP + left[stop:]
    for field, pattern in cues.FIELDS:
        if match := pattern.search(left):
            focus.append(Focus(match[0].strip(), field))
            left = pattern.sub(cues.GAP, left)
    for group in cues.ASKED_FOR:
        for asked in sorted(group, key=len, reverse=True):
            if f" {phrase(asked)} " in f" {joined(words(left))} ":
                names = [name for other in group for name in lexicon.names_with(phrase(other))]
                focus.append(Focus(asked, names=tuple(dict.fromkeys(names))))
                left = re.sub(rf"{re.escape(asked)}s?", cues.GAP, left)
    return focus, left


def _said(about: Sequence[str], left: str, lexicon: Lexicon) -> list[Focus]:
    """`is the hammer red`, `is the hammer rustproof`: what an item is said to be, its value or none of its values."""
    if len(about) < 2:
        return []
    last = about[-1]
    values = [m.field for other in cues.alike(last) for m in lexicon.meanings(phrase(other)) if m.attribute]
    if values and lexicon.match(about[:-1]).items:
        return [Focus(_spelled([last], left)[0], names=tuple(dict.fromkeys(values)))]
    found = lexicon.match(about)
    if found.items and 2 * len(found.missing) < len(about):
        return [Focus(asked) for asked in _spelled(found.missing, left)]
    return []


def _spelled(missing: Sequence[str], rest: str) -> tuple[str, ...]:
    """Words as the question spells them; Chinese characters that stand together as one."""
    parts: list[tuple[int, int]] = []
    for one in placed(rest):
        if one.word in missing:
            if parts and parts[-1][1] == one.start and not one.spelled.isascii():
                parts[-1] = parts[-1][0], one.end
            else:
                parts.append((one.start, one.end))
    return tuple(dict.fromkeys(rest[start:end] for start, end in parts))


def _sentence(rest: str) -> str:
    """What is left of a question, for an encoder."""
    return " ".join(part for part in rest.replace(cues.GAP.strip(), " ").split() if part.strip(",.;:!?'\""))
