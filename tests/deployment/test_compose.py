"""The compose files: what the Compose Specification allows, no password that anybody knows, no right that nobody needs."""

import json
import pathlib
import re

import check_jsonschema
import jsonschema
import pytest
import sources
import yaml

DEVELOPMENT = sources.DOCKER / "compose.dev.yaml"
PRODUCTION = sources.DOCKER / "compose.prod.yaml"
FILES = [DEVELOPMENT, PRODUCTION, sources.DOCKER / "compose.yaml"]
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:?[-?+][^}]*)?\}")
ANSWERS = {"REGISTRY_IMAGE": "swarm-registry:1.0", "SECRETS_DIR": "/secrets", "TRUST_PATH": "/trust.yaml"}


def variables(path):
    """(name, how it is asked for) of each variable of a file, comments left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    return [(name, rest or "") for name, rest in VARIABLE.findall(text)]


def services(path):
    """The services as Compose would see them: variables replaced by an answer or by their default."""

    def answer(match):
        name, rest = match.group(1), match.group(2) or ""
        default = rest.removeprefix(":")[1:] if rest.startswith((":-", "-")) else ""
        return ANSWERS.get(name, default or f"answer-{name.lower()}")

    return yaml.safe_load(VARIABLE.sub(answer, path.read_text()))


@pytest.fixture(scope="module")
def schema():
    folder = pathlib.Path(check_jsonschema.__file__).parent
    return json.loads((folder / "builtin_schemas/vendor/compose-spec.json").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_keeps_to_the_compose_specification(path, schema):
    validator = jsonschema.validators.validator_for(schema)(schema)
    mistakes = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(services(path))]
    assert not mistakes


def test_the_specification_is_held_against_the_files(schema):
    document = services(PRODUCTION)
    document["services"]["registry"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_name_is_declared_and_everything_declared_is_used(path):
    document = services(path)
    for kind in ("volumes", "networks", "secrets"):
        used = set()
        for service in document["services"].values():
            for entry in service.get(kind, []):
                name = str(entry).split(":")[0]
                if not name.startswith((".", "/", "answer-")):
                    used.add(name)
        assert used == set(document.get(kind) or {}), kind
    for name, service in document["services"].items():
        for other, need in (service.get("depends_on") or {}).items():
            healthy = need["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in document["services"][other], f"{name} waits for the health of {other}"


@pytest.mark.parametrize("path", [DEVELOPMENT, PRODUCTION], ids=lambda path: path.name)
def test_files_of_the_repository_that_are_mounted_exist(path):
    mounted = [entry.split(":")[0] for service in services(path)["services"].values() for entry in service.get("volumes", [])]
    relative = [entry for entry in mounted if entry.startswith("./")]
    assert relative
    for entry in relative:
        assert (path.parent / entry).exists(), entry


@pytest.mark.parametrize("path", [DEVELOPMENT, PRODUCTION], ids=lambda path: path.name)
def test_no_password_has_a_default(path):
    for name, rest in variables(path):
        if re.search("PASSWORD|SECRET|TOKEN_FILE|ADMIN", name):
            # A required variable of a service that is not started would stop the others: Compose asks before it looks at profiles.
            # PostgreSQL itself refuses an empty password.
            by_the_service = name == "POSTGRES_PASSWORD" and path == DEVELOPMENT
            expected = rest == ":-" if by_the_service else rest.startswith(":?")
            assert expected, f"{name} has to be refused where it is missing or empty"
    for name, service in services(path)["services"].items():
        for key, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|SECRET|PRIVATE|CREDENTIAL", key) and not key.startswith("GF_SECURITY_COOKIE"):
                # None: passed through from whoever starts it.
                said = key.endswith("_FILE") or "${" + key in path.read_text() or value in ("true", None)
                assert said, f"{name}: {key} stands in the file"
    assert "admin/admin" not in path.read_text()


def test_development_starts_with_what_its_first_lines_say():
    """`services()` has an answer to every variable; whoever types the documented command has those of that line alone."""
    [command] = [line for line in DEVELOPMENT.read_text().splitlines() if line.startswith("#   ") and "docker compose" in line]
    given = set(re.findall(r"([A-Z_]+)=", command.partition("docker compose")[0]))
    assert {name for name, rest in variables(DEVELOPMENT) if rest.startswith((":?", "?"))} == given
    assert not {name for name, rest in variables(DEVELOPMENT) if not rest} - given


@pytest.mark.parametrize("path", [DEVELOPMENT, PRODUCTION], ids=lambda path: path.name)
def test_settings_are_known_to_the_registry(path):
    known = sources.registry_settings() | sources.OF_LIBRARIES.keys() | sources.command_line_settings()
    for name, service in services(path)["services"].items():
        if service["image"].startswith("swarm-registry"):
            # Where a backup's dump is made; nothing that a person sets.
            assert service["environment"].keys() - {"TMPDIR"} <= known, name


def test_everything_in_production_is_shut_in():
    document = services(PRODUCTION)
    for name, service in document["services"].items():
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["read_only"] is True, name
        assert service.get("network_mode", "none") == "none", name
        assert "devices" not in service and service.get("ipc") != "host" and service.get("pid") != "host", name
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        assert tag and tag != "latest", name
        bounded = "mem_limit" in service or service["restart"] == "no"
        assert bounded, f"{name} has no bound on its memory"
        # The image of the registry names its user itself.
        if not service["image"].startswith("swarm-registry"):
            assert service["user"].split(":")[0] not in ("0", "root"), name


def test_only_the_registry_listens_beyond_the_computer():
    for name, service in services(PRODUCTION)["services"].items():
        for port in service.get("ports", []):
            assert name == "registry" or port.startswith("127.0.0.1:"), f"{name}: {port}"
    database = services(PRODUCTION)["services"]["postgres"]
    assert "ports" not in database and database["networks"] == ["database"]
    assert services(PRODUCTION)["networks"]["database"] == {"internal": True}


def test_development_listens_on_loopback_only():
    for name, service in services(DEVELOPMENT)["services"].items():
        ports = service.get("ports", [])
        assert all(port.startswith("127.0.0.1:") for port in ports), name
        if service.get("network_mode") == "host":
            told = json.dumps([service.get("command"), service.get("environment")])
            assert re.search(r"127\.0\.0\.1:\d+|\"GF_SERVER_HTTP_ADDR\": \"127\.0\.0\.1\"", told), name
    assert "--profile" in services(DEVELOPMENT)["services"]["registry"]["command"]


def test_the_settings_are_checked_before_the_registry_starts():
    registry, check = (services(PRODUCTION)["services"][name] for name in ("registry", "check"))
    assert registry["depends_on"]["check"]["condition"] == "service_completed_successfully"
    assert check["command"] == ["--check"]
    assert check["environment"] == registry["environment"] and check["secrets"] == registry["secrets"]
    assert registry["environment"]["REGISTRY_PROFILE"] == "production"


def test_a_bucket_is_reached_by_registry_check_and_backup():
    document = services(PRODUCTION)
    for name in ("registry", "check", "backup"):
        environment = document["services"][name]["environment"]
        for key in ("AWS_REGION", "AWS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            assert key in environment and environment[key] is None, f"{name}: {key} is passed through"
    for name in ("registry", "backup"):
        assert set(document["services"][name]["networks"]) == {"database", "outside"}, name
    backup = document["services"]["backup"]
    places = [entry.split(":")[-1] for entry in backup["volumes"]]
    assert backup["environment"]["TMPDIR"] in places, "a dump in a tmpfs is a dump in memory"


def test_secrets_are_files_under_the_names_that_the_settings_have():
    document = services(PRODUCTION)
    for service in document["services"].values():
        for key, value in (service.get("environment") or {}).items():
            if str(value).startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{key} = {value}"
    for name, secret in document["secrets"].items():
        assert secret["file"].startswith("/secrets/"), name


def test_the_registry_gets_as_long_to_end_as_it_takes():
    for path in (DEVELOPMENT, PRODUCTION):
        grace = services(path)["services"]["registry"]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > sources.drain_seconds()


def test_health_is_asked_as_often_as_in_the_image():
    health = services(PRODUCTION)["services"]["registry"]["healthcheck"]
    sources.assert_health_is_asked_alike(*(health[key] for key in ("interval", "timeout", "start_period", "retries")))
    assert health["test"][0] == "CMD" and health["test"][-1].removeprefix("https://127.0.0.1:8080") in sources.routes()
