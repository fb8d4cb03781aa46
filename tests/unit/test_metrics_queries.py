"""Dashboards, rules and alerts ask for metrics and labels that a node has, and every link leads on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from node.metrics.metric import PREFIX
from tests.support.documents import ROOT, read
from tests.support.measured import Scrape, everything
from tests.support.promql import Query, QueryError, Selector, parse_query

OBSERVE = ROOT / "config" / "observe"
DASHBOARDS = sorted((OBSERVE / "grafana" / "dashboards").glob("*.json"))
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
OF_PROMETHEUS = {"up": {"job", "instance"}}


def rules(name: str) -> list[dict[str, Any]]:
    """The rules of a file."""
    document = yaml.safe_load((OBSERVE / "prometheus" / name).read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def loaded(name: str) -> dict[str, Any]:
    """A dashboard."""
    found = json.loads((OBSERVE / "grafana" / "dashboards" / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Every query, and where it stands."""
    for name in ("rules.yml", "alerts.yml"):
        for rule in rules(name):
            yield f"{name}:{rule.get('record', rule.get('alert'))}", rule["expr"]
    for path in DASHBOARDS:
        dashboard = loaded(path.name)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{path.name}:{panel['title']}:{target['refId']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                inner = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert inner is not None
                yield f"{path.name}:${variable['name']}", inner[1]


@cache
def known() -> Scrape:
    """What can be asked for: series of nodes, and what the recording rules make of them."""
    found = {name: dict(labels) for name, labels in everything().items()}
    for rule in rules("rules.yml"):
        found[rule["record"]] = {label: set() for label in parse_query(rule["expr"]).groupings - {"le"}}
    return found  # type: ignore[return-value]


def faults(query: Query) -> list[str]:
    """What a query asks for that there is not."""
    found = []
    labels: set[str] = set(ADDED_BY_PROMETHEUS)
    for selector in query.selectors:
        if selector.metric in OF_PROMETHEUS:
            continue
        if selector.metric not in known():
            found.append(f"no metric {selector.metric}")
            continue
        own = known()[selector.metric]
        labels |= own.keys()
        found += [fault for match in selector.matches if (fault := wrong_match(selector, match, own))]
    return found + [f"no label {label}" for label in sorted(query.groupings - labels)]


def wrong_match(selector: Selector, match: tuple[str, str, str], own: dict[str, set[str]]) -> str | None:
    """What is wrong with one label of a selector."""
    label, operator, text = match
    if label in ADDED_BY_PROMETHEUS:
        return None
    if label not in own:
        return f"{selector.metric} has no label {label}"
    wanted = text.split("|") if "~" in operator else [text]
    strange = [value for value in wanted if own[label] and value not in own[label]]
    return f"{selector.metric} never has {label}={strange}" if strange else None


@pytest.mark.parametrize(("where", "expression"), list(queries()), ids=[where for where, _ in queries()])
def test_query__asks_for_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    query = parse_query(expression)
    assert query.selectors, "a query without a metric"
    assert faults(query) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(deltamesh_ruonds_total[5m])", "no metric deltamesh_ruonds_total"),
        ('deltamesh_rounds_total{sate="void"}', "deltamesh_rounds_total has no label sate"),
        ('deltamesh_rounds_total{state="viod"}', "deltamesh_rounds_total never has state=['viod']"),
        ('deltamesh_rounds_total{state=~"void|dealed"}', "deltamesh_rounds_total never has state=['dealed']"),
        ("sum by (peer) (deltamesh_peers)", "no label peer"),
        ("deltamesh_peers / on (colour) deltamesh_round", "no label colour"),
    ],
)
def test_query__that_asks_for_something_else_is_found(expression: str, fault: str) -> None:
    assert faults(parse_query(expression)) == [fault]


@pytest.mark.parametrize("expression", ["rat(deltamesh_round[5m])", "deltamesh_round ? 1", "a{b=c}"])
def test_query__that_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(QueryError):
        parse_query(expression)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboard__has_its_own_ids_a_data_source_and_units(path: Any) -> None:
    dashboard = loaded(path.name)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert {"name": "datasource", "type": "datasource", "query": "prometheus"}.items() <= dict(
        dashboard["templating"]["list"][0]
    ).items()
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels__lie_beside_each_other_never_over_each_other(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in loaded(path.name)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_dashboards__have_ids_of_their_own() -> None:
    uids = [loaded(path.name)["uid"] for path in DASHBOARDS]
    assert len(uids) == 2
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("alert", rules("alerts.yml"), ids=lambda rule: rule["alert"])
def test_alert__says_what_happened_and_what_to_do_and_where_it_is_explained(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "action", "runbook_url"}
    page, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", read(page), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert anchor == alert["alert"].lower()


@pytest.mark.parametrize("alert", rules("alerts.yml"), ids=lambda rule: rule["alert"])
def test_alert__names_no_metric_or_label_in_words_that_does_not_exist(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    words = " ".join((notes["summary"], notes["description"], notes["action"]))
    named = set(re.findall(rf"{PREFIX}[a-z_]+", words))
    assert named <= known().keys()
    labels = set(re.findall(r"\$labels\.(\w+)", words))
    asked = [known().get(one.metric, {}).keys() for one in parse_query(alert["expr"]).selectors]
    assert labels <= ADDED_BY_PROMETHEUS.union(*asked)


def test_alerts__each_have_a_test_that_calls_for_it_and_one_that_does_not() -> None:
    tests = yaml.safe_load(read("tests/metrics/alerts.yml"))["tests"]
    names = {test["name"] for test in tests}
    for alert in rules("alerts.yml"):
        assert {f"calls for {alert['alert']}", f"does not call for {alert['alert']}"} <= names


def test_page__is_what_its_script_writes() -> None:
    import runpy

    written = runpy.run_path(str(ROOT / "docs" / "write_metrics.py"))["page"]()
    assert read("docs/metrics.md") == written, "run docs/write_metrics.py"
