"""Writes docs/metrics.md from the metrics' catalogue and the alert rules: `python docs/write_metrics.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from node.metrics.catalogue import SECTIONS
from node.metrics.metric import Label, Metric

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "metrics.md"
ALERTS = ROOT / "config" / "observe" / "prometheus" / "alerts.yml"

_TOP = """# Metrics

<!-- Written by docs/write_metrics.py from node/metrics/catalogue.py and config/observe/prometheus/alerts.yml:
     change those, then run it. -->

A validator's metrics are at `/metrics` of its HTTP API, an encoder's where `deltamesh run encoder --metrics
127.0.0.1:7790` puts them (`off` by default; it is plain HTTP without a password: keep it on loopback or a
private network). Both are Prometheus' text format. No label names a peer, an encoder, an item or a path:
who is who is what `deltamesh rounds`, `deltamesh scores` and the API say.

Most are read when somebody scrapes: from the status the node tells itself every second, and from its store
over a connection of their own, so that a scrape never waits for the node's loop nor the loop for it. What
happens between two scrapes, the seconds of waves and of scoring, is observed where it happens; the node tells
it to the process of its API every second. Counters of totals (disputes, evidence, embeddings) come from the
store and outlive a restart; the others begin at 0.

## Setting it up

```sh
promtool check config config/observe/prometheus/prometheus.yml
prometheus --config.file=config/observe/prometheus/prometheus.yml
```

Write the addresses of your nodes into `config/observe/prometheus/prometheus.yml`; it loads `rules.yml` and
`alerts.yml` beside it. In Grafana import `config/observe/grafana/dashboards/network.json` (is the network
healthy, who is slow, is quality dropping) and `encoder.json` (one encoder), and choose the data source.
Beside what is listed here there are the usual `process_*` and `python_*`, and
`deltamesh_scoring_process_*` and `deltamesh_api_process_*`: CPU time, memory and files of the scoring process
and of the API's; of a validator, `process_*` and `python_gc_*` are the node's.
"""

_ALERTS = """## Alerts

Each fires for one node, `instance`; the same alert on all of them is the network's trouble, not the node's.
Thresholds are in `config/observe/prometheus/alerts.yml`.
"""


def page() -> str:
    """The whole page."""
    lines = [_TOP]
    for section, metrics in SECTIONS.items():
        lines += [
            f"## {section}",
            "",
            "| metric | type | unit | labels | of | meaning |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in metrics]
        lines.append("")
    lines.append(_ALERTS)
    for alert in alerts():
        lines += _section(alert)
    return "\n".join(lines)


def alerts() -> Iterator[dict[str, Any]]:
    """Every alert rule, in the order of the file."""
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def _row(metric: Metric) -> str:
    labels = "; ".join(map(_label, metric.labels))
    cells = (f"`{metric.name}`", metric.kind.value, metric.unit, labels, metric.exporter.value, metric.help)
    return f"| {' | '.join(cells)} |"


def _label(label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.values) or label.what
    return f"`{label.name}`: {values}"


def _section(alert: dict[str, Any]) -> list[str]:
    notes, lasts = alert["annotations"], alert.get("for")
    when = f"`{alert['expr']}`" + (f" for {lasts}" if lasts else "")
    described = re.sub(r"\{\{ \$(?:labels\.)?(\w+).*?\}\}", r"*\1*", notes["description"])
    return [
        f"### {alert['alert']}",
        "",
        f"{alert['labels']['severity'].capitalize()}. {described}",
        "",
        f"When: {when}",
        "",
        f"Do: {notes['action']}",
        "",
    ]


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
