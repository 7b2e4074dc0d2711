"""Alert rules and dashboards: they ask for what is there, they fire when they should, and the runbook knows them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.unit.observed import exported

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
RULE_TESTS = sorted((DEPLOY / "prometheus").glob("alerts*_test.yml"))
BOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""

NOT_OURS = {"up": frozenset[str](), "ALERTS": frozenset({"alertname", "alertstate"})}
"""What Prometheus itself has."""


@cache
def known() -> dict[str, frozenset[str]]:
    """Every metric that a query may use, with its labels."""
    recorded = {name: frozenset({"role", "policy"}) for name in RECORDED}
    return exported() | recorded | NOT_OURS


def selectors(expression: Any) -> Iterator[Any]:
    """The vector selectors of a parsed query."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        inner = getattr(expression, name, None)
        if isinstance(inner, promql.Expr):
            yield from selectors(inner)
    for inner in getattr(expression, "args", ()):
        yield from selectors(inner)


def wrong_in(query: str) -> list[str]:
    """What a query names that no process shows."""
    query = query.replace("$__rate_interval", "5m")
    found = list(selectors(promql.parse(query)))
    assert len(found) == len(re.findall(r"\b(?:upwell[_:]|process_|up\b|ALERTS\b)", _bare(query))), query
    problems = []
    for selector in found:
        if selector.name not in known():
            problems.append(f"metric {selector.name}")
            continue
        labels = {matcher.name for matcher in selector.matchers.matchers} - {"__name__"}
        problems += [f"label {label} of {selector.name}" for label in labels - known()[selector.name] - SCRAPED]
    everywhere = frozenset[str]().union(*(known().get(selector.name, ()) for selector in found), SCRAPED)
    for grouping in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query):
        problems += [f"label {label}" for label in grouping.replace(" ", "").split(",") if label not in everywhere]
    return problems


def _bare(query: str) -> str:
    """A query without strings, in which names may stand as well."""
    return re.sub(r'"[^"]*"', '""', query)


def _board(path: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(path.read_text())
    return board


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


# Queries


def test_a_wrong_query_would_be_found() -> None:
    assert wrong_in("sum by (role) (rate(upwell_records_total[5m]))") == []
    assert wrong_in("upwell_record_total") == ["metric upwell_record_total"]
    assert wrong_in('upwell_records_total{shopper="ann"}') == ["label shopper of upwell_records_total"]
    assert wrong_in("sum by (shopper) (upwell_records_total)") == ["label shopper"]
    assert wrong_in("max_over_time(upwell_lag[5m:1m]) > 1 and -upwell_ready") == ["metric upwell_lag"]
    with pytest.raises(ValueError, match="unclosed"):
        promql.parse("sum(rate(upwell_records_total[5m])")


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_asks_for_what_is_there(path: Path) -> None:
    board = _board(path)
    queries = [target["expr"] for panel in _panels(board) for target in panel["targets"]]
    queries += [annotation["expr"] for annotation in board["annotations"]["list"]]
    assert len(queries) > 5
    for query in queries:
        assert wrong_in(query) == [], query
    legends = [(t.get("legendFormat", ""), t["expr"]) for panel in _panels(board) for t in panel["targets"]]
    for legend, query in legends:
        for label in re.findall(r"{{(\w+)}}", legend):
            everywhere = SCRAPED.union(*(known()[s.name] for s in selectors(promql.parse(_concrete(query)))))
            assert label in everywhere, f"{legend}: {query}"


def _concrete(query: str) -> str:
    return query.replace("$__rate_interval", "5m")


@pytest.mark.parametrize("rule", [*ALERTS.values(), *RECORDED.values()], ids=lambda r: r.get("alert") or r["record"])
def test_every_rule_asks_for_what_is_there(rule: dict[str, Any]) -> None:
    assert wrong_in(rule["expr"]) == []


def test_what_is_measured_is_looked_at() -> None:
    """Every metric of ours is on a dashboard or in a rule."""
    asked = {
        selector.name
        for query in [
            *(t["expr"] for path in BOARDS for panel in _panels(_board(path)) for t in panel["targets"]),
            *(rule["expr"] for rule in [*ALERTS.values(), *RECORDED.values()]),
        ]
        for selector in selectors(promql.parse(_concrete(query)))
    }
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if name.startswith("upwell_")}
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert names - asked == {"upwell_encoder_last_window", "upwell_index_recall_probes_total"}


# Dashboards


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = _board(path)
    assert board["uid"] == path.stem
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    places: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        mine = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not mine & places, f"{panel['title']} lies over another"
        places |= mine
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in _panels(board):
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


# Rules, by Prometheus's own tool


def _promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    beside = Path(sys.executable).parent / "promtool"
    tool = beside if beside.exists() else shutil.which("promtool")
    assert tool, "promtool is missing: `make promtool` gets it, or install Prometheus"
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_what_is_recorded_stands_before_the_alerts_that_ask_for_it() -> None:
    for group in GROUPS:
        recorded: set[str] = set()
        for rule in group["rules"]:
            asked = {selector.name for selector in selectors(promql.parse(rule["expr"]))}
            assert asked & RECORDED.keys() <= recorded, f"{rule.get('alert')}: groups are evaluated beside each other"
            if "record" in rule:
                recorded.add(rule["record"])


def test_promtool_takes_rules_and_configuration() -> None:
    done = _promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS) + len(RECORDED)} rules found" in done.stdout
    done = _promtool("check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_alerts_fire_when_they_should() -> None:
    done = _promtool("test", "rules", *RULE_TESTS)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_both_ways(alert: str, tmp_path: Path) -> None:
    tests = [test for path in RULE_TESTS for test in _tests(path)]
    mine = [test for test in tests if any(check["alertname"] == alert for check in test["alert_rule_test"])]
    checks = [c.get("exp_alerts") for test in mine for c in test["alert_rule_test"] if c["alertname"] == alert]
    assert any(checks), "nobody sees it fire"
    assert not all(checks), "nobody sees it quiet"
    assert _passes(tmp_path, mine, ALERTS[alert]["expr"], alert)
    assert not _passes(tmp_path, mine, "vector(1) > 2", alert), "nobody misses it"


def _tests(path: Path) -> list[dict[str, Any]]:
    """The tests of a file, each with the interval of the file."""
    content = yaml.safe_load(path.read_text())
    return [{**test, "evaluation_interval": content["evaluation_interval"]} for test in content["tests"]]


def _passes(folder: Path, tests: list[dict[str, Any]], expression: str, alert: str) -> bool:
    """Whether tests of an alert pass with another expression in its place."""
    rules = [rule for group in GROUPS for rule in group["rules"]]
    changed = [rule | {"expr": expression} if rule.get("alert") == alert else rule for rule in rules]
    groups = [{"name": "all", "rules": [rule for rule in changed if rule.get("alert", alert) == alert]}]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    intervals = {test["evaluation_interval"] for test in tests}
    only = [
        {name: value for name, value in test.items() if name != "evaluation_interval"}
        | {"alert_rule_test": [check for check in test["alert_rule_test"] if check["alertname"] == alert]}
        for test in tests
    ]
    content = {"rule_files": ["rules.yml"], "evaluation_interval": intervals.pop(), "tests": only}
    assert not intervals, "all tests of an alert are in one file"
    (folder / "test.yml").write_text(yaml.safe_dump(content))
    return _promtool("test", "rules", folder / "test.yml").returncode == 0


def test_every_alert_is_in_the_runbook() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    sections = dict(re.findall(r"(?ms)^### (Upwell\w+)\n(.*?)(?=^##|\Z)", text))
    assert sections.keys() == ALERTS.keys()
    for alert, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{alert.lower()}"
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert len(sections[alert].split()) > 30, f"{alert}: what is one to do?"
