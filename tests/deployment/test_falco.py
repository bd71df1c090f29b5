"""The rules for Falco: their lists and macros exist, and the folders are those that chart and compose file use."""

import re

import sources
import yaml

ENTRIES = yaml.safe_load((sources.DOCKER / "falco/swarm_rules.yaml").read_text())
# Macros of Falco's own rules.
OF_FALCO = {"open_read", "open_write"}


def test_each_rule_is_whole():
    rules = [entry for entry in ENTRIES if "rule" in entry]
    assert len(rules) == 2
    for rule in rules:
        assert set(rule) == {"rule", "desc", "condition", "output", "priority", "tags"}
        assert rule["priority"] in ("WARNING", "CRITICAL")
        assert "%fd.name" in rule["output"] and "%proc.name" in rule["output"]


def test_what_a_condition_names_is_defined():
    defined = {entry[kind] for entry in ENTRIES for kind in ("list", "macro") if kind in entry} | OF_FALCO
    programs = {item for entry in ENTRIES for item in entry.get("items", [])}
    for entry in ENTRIES:
        for name in re.findall(r"\b(swarm_\w+|open_\w+)\b", entry.get("condition", "")):
            assert name in defined | programs, name


def test_the_folders_are_those_of_the_containers():
    text = str(ENTRIES)
    chart = (sources.DOCKER / "helm/swarm-registry/templates/_helpers.tpl").read_text()
    compose = (sources.DOCKER / "compose.prod.yaml").read_text()
    for folder, where in [("/run/keys", chart), ("/run/secret", chart), ("/run/secrets", compose), ("/var/lib/swarm_registry", compose)]:
        assert f"{folder}/" in text and folder in where, folder
