"""Prometheus' rules and Grafana's dashboards: every metric and label that they name is one that the programs show."""

import json
import os
import re
import subprocess

import promql_parser
import pytest
import sources
import yaml

PROMETHEUS = sources.DOCKER / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((sources.DOCKER / "grafana/dashboards").glob("*.json"))
# Addresses that people have in their bookmarks: /d/production and so on.
UIDS = {"production", "safety", "performance", "csa-registry", "robot-runtime"}

PROMTOOL = os.environ.get("SWARM_PROMTOOL", "promtool")


def rules():
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def boards():
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def queries():
    """(where, PromQL) of everything that asks Prometheus."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for uid, board in boards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{uid}: {panel['title']}", target["expr"]
        for variable in board["templating"]["list"]:
            [selector] = re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"]).groups()
            yield f"{uid}: ${variable['name']}", selector


def named(query):
    """Metric -> labels that a query selects or groups by."""
    selectors, grouped = {}, set()

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            labels = selectors.setdefault(node.name, set())
            labels.update(matcher.name for matcher in node.matchers.matchers)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(query), pre_visit=visit)
    return selectors, grouped


@pytest.mark.parametrize("where, query", list(queries()), ids=lambda value: value if " " not in value else None)
def test_what_is_asked_for_exists(where, query):
    known = sources.metrics()
    selectors, grouped = named(query)
    assert selectors, query
    for metric, labels in selectors.items():
        assert metric in known, f"{where}: nothing shows {metric}"
        unknown = (labels | grouped) - known[metric] - sources.TARGET_LABELS
        # A query over several metrics groups by labels of one of them.
        elsewhere = set().union(*(known[other] for other in selectors))
        assert unknown <= elsewhere, f"{where}: {metric} has no label {unknown}"


def test_a_metric_that_nobody_shows_is_found():
    selectors, grouped = named('sum by (site) (rate(csa_uploads_total{result="x"}[5m]))')
    assert selectors == {"csa_uploads_total": {"result"}} and grouped == {"site"}
    assert "csa_uploads_total" not in sources.metrics()


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["labels"]["priority"] in ("P0", "P1", "P2", "P3"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_every_alert_is_tested():
    tested = set()
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            tested |= {case["alertname"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert tested == {rule["alert"] for rule in rules()}


def test_promtool_finds_nothing():
    for command in (["rules", *RULES], ["config", "--syntax-only", PROMETHEUS / "prometheus.yml", PROMETHEUS / "prometheus.dev.yml"]):
        found = subprocess.run([PROMTOOL, "check", *command], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda path: path.name)
def test_alerts_fire_when_they_should(path):
    found = subprocess.run([PROMTOOL, "test", "rules", path], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_dashboards_keep_their_addresses_and_grafana_finds_them():
    found = boards()
    assert set(found) == UIDS and all(board["uid"] == uid for uid, board in found.items())
    provider = yaml.safe_load((sources.DOCKER / "grafana/provisioning/dashboards/swarm.yml").read_text())["providers"][0]
    for name in ("compose.dev.yaml", "compose.prod.yaml"):
        grafana = yaml.safe_load((sources.DOCKER / name).read_text())["services"]["grafana"]
        assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]


def test_panels_ask_the_source_that_is_there_with_variables_that_are_there():
    [source] = yaml.safe_load((sources.DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    for uid, board in boards().items():
        declared = {variable["name"] for variable in board["templating"]["list"]}
        used = set()
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] == source["uid"], f"{uid}: {panel['title']}"
            for target in panel["targets"]:
                assert target["datasource"]["uid"] == source["uid"]
                used |= set(re.findall(r"\$(\w+)", target["expr"]))
                legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                selectors, grouped = named(target["expr"])
                there = grouped or set().union(*(sources.metrics()[name] for name in selectors)) | sources.TARGET_LABELS
                assert legend <= there, f"{uid}: {panel['title']} shows {legend}"
        assert used == declared, uid


def test_panels_do_not_lie_on_each_other():
    for uid, board in boards().items():
        taken = {}
        for panel in board["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert (x, y) not in taken, f"{uid}: {panel['title']} on {taken[x, y]}"
                    taken[x, y] = panel["title"]


def test_targets_are_looked_for_where_compose_puts_them():
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    files = [file for job in config["scrape_configs"] for entry in job.get("file_sd_configs", []) for file in entry["files"]]
    assert files == ["/etc/prometheus/targets/registry.yml", "/etc/prometheus/targets/cells.yml"]
    for file in files:
        example = PROMETHEUS / "targets" / file.rpartition("/")[2].replace(".yml", ".example.yml")
        assert all(entry["targets"] for entry in yaml.safe_load(example.read_text()))
    assert config["global"] == {"scrape_interval": "15s", "evaluation_interval": "15s"}


def test_alerts_go_to_somebody_and_the_address_is_a_secret():
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    routed = {config["route"]["receiver"]} | {route["receiver"] for route in config["route"]["routes"]}
    assert routed == set(receivers)
    for receiver in receivers.values():
        for webhook in receiver["webhook_configs"]:
            assert "url" not in webhook and webhook["url_file"].startswith("/run/secrets/")
