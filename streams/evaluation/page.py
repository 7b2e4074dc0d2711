"""A verdict as one HTML page that needs nothing else: tables and plots, no script, no network."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from streams import policies
from streams.core.policy import Policy
from streams.evaluation import glossary, plot
from streams.evaluation.bootstrap import DRAWS, LEVEL
from streams.evaluation.judge import METRICS, SLICES, Figure, SliceVerdict, Verdict
from streams.evaluation.plot import Bar
from streams.evaluation.prequential import Trial
from streams.evaluation.report import HEADS
from streams.evaluation.users import UserFigures, differences, tally

_KEY = ("ndcg", 20)
"""What is plotted."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; } td.best { font-weight: 700; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
"""


def page(
    trial: Trial,
    verdict: Verdict,
    about: dict[str, Any],
    shown: str,
    users: Sequence[UserFigures],
    notes: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        trial: everybody's answers.
        verdict: on them.
        about: what was evaluated, as in the JSON report.
        shown: the slice in front.
        users: all users.
        notes: what else is worth knowing, in words.
    """
    first, *others = verdict.reach
    part = verdict.slices[shown]
    log = about["log"]
    body = [
        f"<h1>{escape(first)}: how well it foresaw a log</h1>",
        f"<p>{log['events']:,} events of {log['users']:,} users, {log['items']:,} items. Every set of events of one "
        "user at one time is predicted from the state before it, over the whole catalogue, and then learnt from. "
        f"{escape(glossary.question(about))} Intervals hold {LEVEL:.0%} of {DRAWS:,} bootstrap draws over users.</p>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        f"<h2>NDCG at 20, {escape(SLICES[shown])}</h2>",
        f"<p>{part.sets:,} sets, {part.targets:,} targets, {part.users:,} users.</p>",
        plot.intervals(_bars(part.figures)),
        *(_leads(first, part) if others else []),
        *(_users(users, first, other) for other in others),
        *(_slice(name, verdict.slices[name]) for name in [shown, *(name for name in SLICES if name != shown)]),
        "<h2>Lists of 20</h2>",
        _lists(trial, verdict),
        "<h2>Who is who</h2>",
        _terms(_contenders([first, *others], about)),
        "<h2>What the figures mean</h2>",
        _terms(glossary.METRICS),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(first)} · evaluation</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _bars(figures: dict[str, dict[tuple[str, int], Figure]]) -> list[Bar]:
    found = []
    for name, by_metric in figures.items():
        value, interval = by_metric[_KEY]
        if value is not None and interval is not None:
            found.append(Bar(name, value, interval.low, interval.high))
    return found


def _leads(first: str, part: SliceVerdict) -> list[str]:
    return [
        f"<h2>Lead of {escape(first)}</h2>",
        "<p>Its NDCG at 20 less that of the other, on the same sets: green where it leads, red where it is behind, "
        "blue where that could be chance.</p>",
        plot.intervals(_bars(part.leads)),
    ]


def _contenders(names: Sequence[str], about: dict[str, Any]) -> dict[str, str]:
    """What each contender is: the policies first, as they were asked for."""
    usual = policies.as_json(Policy())
    told = [glossary.policy(fields, usual) for fields in about["policies"]]
    return {name: told[place] if place < len(told) else glossary.BASELINES[name] for place, name in enumerate(names)}


def _terms(terms: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in terms.items())
    return f"<dl>{rows}</dl>"


def _users(users: Sequence[UserFigures], first: str, other: str) -> str:
    found = differences(users, first, other)
    better, worse, alike = tally(found)
    return (
        f"<h2>User by user, against {escape(other)}</h2><p>Of all {len(found):,} users NDCG at 20 is higher for "
        f"{better:,}, lower for {worse:,}, the same for {alike:,}. Their differences, from the largest gain to the "
        f"largest loss:</p>{plot.sorted_curve(found)}"
    )


def _slice(name: str, part: SliceVerdict) -> str:
    rows = {
        who: [_number(figures[key].value) for key in METRICS] for who, figures in part.figures.items()
    }  # fmt: skip
    best = {
        place: largest
        for place, key in enumerate(METRICS)
        if (largest := max((figures[key].value or 0.0 for figures in part.figures.values()), default=0.0)) > 0
    }
    heads = [f"{HEADS.get(metric, metric)}@{cut}" for metric, cut in METRICS]
    title = f"<h2>{escape(name)}: {escape(SLICES[name])}</h2><p>{part.sets:,} sets, {part.targets:,} targets.</p>"
    return title + _table(heads, rows, {place: _number(value) for place, value in best.items()})


def _lists(trial: Trial, verdict: Verdict) -> str:
    rows = {
        name: [
            f"{reach.coverage:.3f}", f"{reach.diversity:.3f}", f"{reach.novelty:.2f}",
            f"{trial.ask_us[name]:,.0f}", f"{trial.learn_us[name]:,.0f}",
        ]
        for name, reach in verdict.reach.items()
    }  # fmt: skip
    return _table(["coverage", "diversity", "novelty", "ask µs", "learn µs"], rows, {})


def _table(heads: Iterable[str], rows: dict[str, list[str]], best: dict[int, str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *heads))
    lines = []
    for name, cells in rows.items():
        marked = (
            f'<td class="best">{cell}</td>' if best.get(place) == cell else f"<td>{cell}</td>"
            for place, cell in enumerate(cells)
        )
        lines.append(f"<tr><td>{escape(name)}</td>{''.join(marked)}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
