"""What the programs themselves say: their settings, their metrics, their routes. Read from their sources, where each is said once."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "docker"
REGISTRY = REPOSITORY / "packages/services/swarm_registry"

# Settings that a library of the registry reads, and not the registry itself.
OF_LIBRARIES = {
    "PGPASSFILE": "sqlx, libpq: the file with the database's password",
    "RUST_LOG": "tracing-subscriber: what is logged",
    "AWS_REGION": "object_store",
    "AWS_ENDPOINT": "object_store",
    "AWS_ACCESS_KEY_ID": "object_store",
    "AWS_SECRET_ACCESS_KEY": "object_store",
}

# What Prometheus itself adds to every series, and what the files of targets add.
TARGET_LABELS = {"job", "instance", "site_id"}
OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


def text_of(folder):
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.rs")))


def settings_of(folder):
    """Environment keys that a program reads: `env = "KEY"` of clap's attributes, and what must not be seen on a command line."""
    return set(re.findall(r'\b(?:env = |env::var\()"([A-Z][A-Z0-9_]*)"', text_of(folder)))


def registry_settings():
    found = settings_of(REGISTRY / "src")
    assert {"REGISTRY_LISTEN", "DATABASE_URL"} <= found
    return found


def command_line_settings():
    return settings_of(REPOSITORY / "packages/tools/csactl/src")


def metrics():
    """Name -> labels of each metric that the registry and the cells' runtime show: a name, its help sentence, its labels."""
    folders = [REGISTRY / "src", REPOSITORY / "packages/adapters/swarm_metrics/src"]
    files = [path.read_text() for folder in folders for path in sorted(folder.rglob("*.rs"))]
    text = "\n".join(file for file in files if "use prometheus::" in file)
    found = {}
    definition = r'"([a-z][a-z0-9_]*)",\s*"[A-Z][^"]*\."\s*,?\s*\)?\s*,?\s*\)?\s*,?\s*(?:&\[([^]]*)\])?'
    for name, labels in re.findall(definition, text):
        found[name] = set(re.findall(r'"([a-z_]+)"', labels))
    gauges = set(re.findall(r'\bgauges?\(\s*"([a-z0-9_]+)"', text))
    for name in list(found):
        if name.endswith("_seconds") and name not in gauges:
            for suffix in ("_bucket", "_sum", "_count"):
                found[name + suffix] = found[name] | ({"le"} if suffix == "_bucket" else set())
            del found[name]
    return found | OF_PROMETHEUS


def routes():
    return set(re.findall(r'\bpath = "(/[^"]*)"', text_of(REGISTRY / "src")))


def drain_seconds():
    """How long the registry lets requests end after SIGTERM."""
    [seconds] = re.findall(r"const DRAIN: Duration = Duration::from_secs\((\d+)\)", text_of(REGISTRY / "src"))
    return int(seconds)


def assert_health_is_asked_alike(interval, timeout, start_period, retries):
    assert (interval, timeout, start_period, int(retries)) == ("30s", "10s", "5s", 3)
