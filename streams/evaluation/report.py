"""A verdict for people (tables) and for machines (JSON)."""

from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams.evaluation.bootstrap import DRAWS, LEVEL
from streams.evaluation.judge import SLICES, Figure, Verdict
from streams.evaluation.prequential import Trial

SHOWN = (("hit_rate", 20), ("recall", 20), ("mrr", 20), ("ndcg", 20), ("found", 20))
"""Columns of the first table."""

LED = (("ndcg", 20), ("found", 20))
"""Columns of the last one."""

_WIDTH = 80
"""Columns of a terminal."""

HEADS = {
    "hit_rate": "HitRate",
    "recall": "Recall",
    "mrr": "MRR",
    "ndcg": "NDCG",
    "found": "Found",
    "found_ndcg": "found NDCG",
}


def as_json(trial: Trial, verdict: Verdict, about: dict[str, Any]) -> dict[str, Any]:
    """Everything. `about` says what was evaluated and comes first."""
    return {
        **about,
        "intervals": {"level": LEVEL, "draws": DRAWS, "over": "users, paired"},
        "contenders": {
            name: {
                **{field: round(value, 6) for field, value in reach._asdict().items()},
                "ask_us": round(trial.ask_us[name], 1),
                "learn_us": round(trial.learn_us[name], 1),
            }
            for name, reach in verdict.reach.items()
        },
        "slices": {
            name: {
                "about": SLICES[name],
                "sets": part.sets,
                "targets": part.targets,
                "users": part.users,
                "figures": {who: _figures(figures) for who, figures in part.figures.items()},
                "leads_of_first": {who: _figures(figures) for who, figures in part.leads.items()},
            }
            for name, part in verdict.slices.items()
        },
    }


def _figures(figures: dict[tuple[str, int], Figure]) -> dict[str, Any]:
    return {
        f"{metric}@{cut}": {
            "value": _rounded(value),
            "low": _rounded(bounds and bounds.low),
            "high": _rounded(bounds and bounds.high),
        }
        for (metric, cut), (value, bounds) in figures.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def tables(trial: Trial, verdict: Verdict, shown: str) -> Group:
    """What a terminal of 80 columns shows: accuracy on one slice, lists, every slice, and the first one's lead."""
    parts = [_accuracy(verdict, shown), _lists(trial, verdict), _slices(verdict)]
    if verdict.slices[shown].leads:
        parts.append(_leads(verdict, shown))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _accuracy(verdict: Verdict, shown: str) -> Table:
    part = verdict.slices[shown]
    title = f"At 20, {SLICES[shown]}: {part.sets:,} sets, {part.targets:,} targets, {part.users:,} users"
    table = _table(title, "", *(HEADS[metric] for metric, _ in SHOWN))
    for name, figures in part.figures.items():
        table.add_row(Text(name), *(_number(figures[key].value) for key in SHOWN))
    return table


def _lists(trial: Trial, verdict: Verdict) -> Table:
    table = _table("Lists of 20", "", "coverage", "diversity", "novelty", "ask µs", "learn µs")
    for name, reach in verdict.reach.items():
        table.add_row(
            Text(name),
            f"{reach.coverage:.3f}",
            f"{reach.diversity:.3f}",
            f"{reach.novelty:.2f}",
            f"{trial.ask_us[name]:,.0f}",
            f"{trial.learn_us[name]:,.0f}",
        )
    return table


def _slices(verdict: Verdict) -> Table:
    heads = (f"{name}\n{part.targets:,}" for name, part in verdict.slices.items())
    table = _table("Found at 20, by slice and its number of targets", "", *heads)
    for who in verdict.reach:
        table.add_row(Text(who), *(_number(part.figures[who]["found", 20].value) for part in verdict.slices.values()))
    return table


def _leads(verdict: Verdict, shown: str) -> Table:
    first = next(iter(verdict.reach))
    title = f"Lead of {first} at 20, with its {LEVEL:.0%} interval over users"
    table = _table(title, "over", *(HEADS[metric] for metric, _ in LED))
    for who, leads in verdict.slices[shown].leads.items():
        table.add_row(Text(who), *(_lead(leads[key]) for key in LED))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    table.min_width = min(len(title), _WIDTH)  # or the title would be broken at the width of the columns
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _lead(figure: Figure) -> Text:
    if figure.value is None or figure.interval is None:
        return Text("–")
    low, high = figure.interval
    colour = "green" if low > 0 else "red" if high < 0 else "yellow"
    return Text(f"{figure.value:+.4f} [{low:+.4f}, {high:+.4f}]", style=colour)
