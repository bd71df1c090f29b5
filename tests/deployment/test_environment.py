"""The example of the settings: every key of the registry is in it, and no other."""

import re

import sources
import test_compose

EXAMPLE = sources.DOCKER / ".env.example"


def lines():
    """(key, value, whether it is commented out)."""
    for line in EXAMPLE.read_text().splitlines():
        match = re.fullmatch(r"(#?)([A-Z][A-Z0-9_]*)=(.*)", line)
        if match:
            yield match.group(2), match.group(3), bool(match.group(1))
        else:
            assert not line or line.startswith("# "), f"neither a setting nor a comment: {line}"


def test_each_key_is_there_once():
    keys = [key for key, _, _ in lines()]
    assert len(keys) == len(set(keys))


def test_the_keys_are_those_that_something_reads():
    compose = {name for path in (test_compose.DEVELOPMENT, test_compose.PRODUCTION) for name, _ in test_compose.variables(path)}
    read = sources.registry_settings() | sources.OF_LIBRARIES.keys() | compose
    keys = {key for key, _, _ in lines()}
    assert keys - read == set(), "nothing reads these"
    assert read - keys == set(), "these are read, and not in the example"


def test_no_secret_has_a_value():
    for key, value, _ in lines():
        if re.search("PASSWORD|SECRET_ACCESS_KEY", key):
            assert value == "", key


def test_a_default_that_is_shown_is_the_registrys_own():
    text = sources.text_of(sources.REGISTRY / "src")
    defaults = dict(re.findall(r'\benv = "([A-Z_]+)"[^)]*?default_value = "([^"]*)"', text))
    assert defaults["MAX_ARTIFACT_BYTES"] == "4294967296"
    for key, value, commented in lines():
        if commented and key in defaults:
            assert value == defaults[key], key
