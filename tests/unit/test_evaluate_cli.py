"""`upwell evaluate` from the command line, over files."""

import json
import re
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from streams.cli.evaluate import evaluate
from streams.errors import DataError
from streams.evaluation.baselines import NAMES, QUICK
from streams.evaluation.glossary import BASELINES, METRICS
from tests.unit.recorded import DAY, GOODS, START, Line, lines


@pytest.fixture
def shop(tmp_path: Path) -> str:
    chance = np.random.default_rng(2)
    items = list(GOODS)
    bought: list[Line] = [
        (f"user{user}", day + user, items[chance.integers(len(items))]) for user in range(5) for day in range(12)
    ]
    return _file(tmp_path, lines(bought))


def _file(folder: Path, written: list[dict[str, Any]]) -> str:
    path = folder / "shop.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in written))
    return str(path)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(evaluate, list(arguments), catch_exceptions=True)


def test_json_holds_every_figure_of_everyone(shop: str) -> None:
    found = json.loads(_run("--json", "--from", "0.2", shop).stdout)
    assert found["log"] == {"events": 60, "users": 5, "items": len(GOODS), "bad_lines": 0}
    assert list(found["contenders"]) == ["default", *QUICK]
    everyone = found["slices"]["all"]
    assert list(everyone["figures"]) == ["default", *QUICK]
    assert list(everyone["leads_of_first"]) == list(QUICK)
    for figures in everyone["figures"].values():
        assert {f"{metric}@{cut}" for metric in ("hit_rate", "mrr", "ndcg", "recall") for cut in (5, 10, 20)} <= set(
            figures
        )
        for figure in figures.values():
            assert 0.0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1.0
    assert found["slices"]["cold-users"]["users"] <= everyone["users"] == 5
    cold, known = (found["slices"][name]["targets"] for name in ("cold-items", "cold-items-of-returning"))
    assert 0 < known < cold


def test_the_same_log_gives_the_same_figures(shop: str) -> None:
    one, two = (json.loads(_run("--json", "--limit", "20", shop).stdout) for _ in range(2))
    assert one["slices"] == two["slices"]
    assert one["slices"]["all"]["sets"] == 20


def test_people_get_tables(shop: str) -> None:
    result = _run("--baselines", "popularity,p-topfreq", "--slice", "all", shop)
    assert result.exit_code == 0, result.output
    assert "everyone, newcomers too" in result.stdout
    assert "Lead of default at 20" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "v-sknn" not in result.stdout


def test_a_page_needs_nothing_else_and_users_are_told_apart(shop: str, tmp_path: Path) -> None:
    page, users = tmp_path / "page.html", tmp_path / "users.jsonl"
    names = ["default", "popularity", "ease"]
    result = _run("--json", "--baselines", "popularity,ease", "--html", str(page), "--users", str(users), shop)
    figures = json.loads(result.stdout)["slices"]["returning"]["figures"]
    text = page.read_text()
    ElementTree.fromstring(
        text.removeprefix("<!doctype html>")
        .replace('<meta charset="utf-8">', "")
        .replace('<meta name="viewport" content="width=device-width, initial-scale=1">', "")
    )
    assert "http" not in text
    assert "<script" not in text
    for name in names:
        assert f"{figures[name]['ndcg@20']['value']:.4f}" in text
    rows = [json.loads(line) for line in users.read_text().splitlines()]
    assert [row["user"] for row in rows] == [f"user{number}" for number in range(5)]
    for name in names:
        mean = np.average([row["values"][name] for row in rows], weights=[row["sets"] for row in rows])
        assert mean == pytest.approx(figures[name]["ndcg@20"]["value"], abs=1e-5)


def test_a_page_says_what_was_compared_and_what_it_means(shop: str, tmp_path: Path) -> None:
    page, policy = tmp_path / "page.html", tmp_path / "mine.toml"
    policy.write_text(
        "diversity = 0.5\nranker = false\nchannel_weights = { content = 2.0, popular = 0.25 }\n"
        "rules = ['exclude price > 9']\n"
    )
    result = _run("--policy", str(policy), "--baselines", ",".join(NAMES), "--limit", "9", "--html", str(page), shop)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    terms = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert terms.keys() == {"mine", *BASELINES, *METRICS}
    assert BASELINES.keys() == set(NAMES)
    assert terms["mine"].startswith(
        "diversity = 0.5; ranker = false; rules = exclude price &gt; 9.0; arrivals is off; buy_again is off; content"
    )
    assert "Targets are all items of a set after the first 50% of the events; of the sets, 9 at most" in text
    for head in re.findall("<th>([^<]+)</th>", text):
        assert any(head.lower().split("@")[0].split(" ")[0] in name.lower() for name in METRICS), head


def test_rules_that_say_nothing_are_told(shop: str, tmp_path: Path) -> None:
    policy, page = tmp_path / "odd.toml", tmp_path / "page.html"
    policy.write_text(
        """rules = ['exclude brand = "acmee"', 'exclude not purchased', 'include category = "Grocery"']"""
    )
    result = _run("--policy", str(policy), "--baselines", "", "--html", str(page), shop)
    count = len(GOODS)
    told = [
        f'odd: rule 1 holds for none of {count} items: exclude brand = "acmee"',
        f'odd: rule 3 holds for none of {count} items: include category = "Grocery"',
        f"odd: its rules leave 0 of {count} items, for lists of 20",
    ]
    assert result.stderr.splitlines() == told
    assert all(escape(note) in page.read_text() for note in told)
    assert json.loads(_run("--json", "--policy", str(policy), "--baselines", "", shop).stdout)["notes"] == told


def test_who_is_ranked_by_what_was_learnt_of_others_is_told(shop: str, tmp_path: Path) -> None:
    wide, flat, fused = (tmp_path / f"{name}.toml" for name in ("wide", "flat", "fused"))
    wide.write_text("pool = 120")
    flat.write_text("diversity = 0.5\nsize = 10\nexploration = 0")
    fused.write_text("pool = 120\nranker = false")
    others = [word for path in (wide, flat, fused) for word in ("--against", str(path))]
    (note,) = json.loads(_run("--json", "--baselines", "", *others, shop).stdout)["notes"]
    assert note.startswith("wide: ranked by what was learnt from the candidates of default")


def test_nothing_found_is_nobodys_best(shop: str, tmp_path: Path) -> None:
    page, policy = tmp_path / "page.html", tmp_path / "none.toml"
    policy.write_text("rules = ['exclude available']")
    _run("--policy", str(policy), "--baselines", "", "--html", str(page), shop)
    assert "<td>0.0000</td>" in page.read_text()
    assert '<td class="best">' not in page.read_text()


def test_a_title_is_one_line(shop: str) -> None:
    assert "At 20, users with a past: 30 sets, 30 targets, 5 users" in _run("--baselines", "", shop).stdout


def test_only_what_is_late_enough_is_predicted(shop: str) -> None:
    late = datetime.fromtimestamp((START + 13 * DAY) / 1000, UTC).isoformat()
    found = json.loads(_run("--json", "--from", "0", "--since", late, shop).stdout)
    assert found["reading"]["since"] == START + 13 * DAY
    assert found["slices"]["all"]["sets"] == sum(day + user >= 13 for user in range(5) for day in range(12))


@pytest.mark.parametrize("option", ["--html", "--users"])
def test_where_nothing_can_be_written_nothing_is_begun(option: str, tmp_path: Path) -> None:
    result = _run(option, str(tmp_path / "nowhere" / "out"), str(tmp_path / "no log"))
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == f"cannot write {tmp_path}/nowhere/out: there is no directory {tmp_path}/nowhere"


def test_files_or_topics(shop: str) -> None:
    assert "name the files of the log, or say --topics" in _run().output
    assert "name the files of the log, or say --topics" in _run("--topics", shop).output
    assert "--until is for --topics" in _run("--until", "5", shop).output


def test_a_policy_is_held_against_another(shop: str, tmp_path: Path) -> None:
    path = tmp_path / "bold.toml"
    path.write_text("diversity = 0.5\nchannel_weights = { content = 1.0 }\n")
    found = json.loads(_run("--json", "--baselines", "", "--policy", str(path), "--against", "default", shop).stdout)
    assert list(found["contenders"]) == ["bold", "default"]
    assert [policy["name"] for policy in found["policies"]] == ["bold", "default"]
    figures = found["slices"]["all"]["figures"]
    lead = found["slices"]["all"]["leads_of_first"]["default"]["ndcg@20"]["value"]
    assert lead == pytest.approx(figures["bold"]["ndcg@20"]["value"] - figures["default"]["ndcg@20"]["value"], abs=2e-6)


def test_bad_lines_are_left_out_and_told(tmp_path: Path) -> None:
    path = _file(tmp_path, [*lines([("anna", day, "milk") for day in range(6)]), {"type": "view"}])
    result = _run("--json", path)
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == "1 bad line, listed above, was left out"
    assert json.loads(result.stdout)["log"] == {"events": 6, "users": 1, "items": len(GOODS), "bad_lines": 1}
    assert f"{path}:15:" in result.stderr


def test_a_log_without_anything_to_predict_says_so(tmp_path: Path) -> None:
    path = _file(tmp_path, lines([])[:2])
    result = _run(path)
    assert isinstance(result.exception, DataError)
    assert "nothing to predict: 2 items can be recommended and 0 events are in the log" in str(result.exception)


def test_an_unknown_baseline_is_named(shop: str) -> None:
    result = _run("--baselines", "oracle", shop)
    assert result.exit_code == 2
    assert "no baseline 'oracle'; there are popularity" in result.output
