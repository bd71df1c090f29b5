"""The Helm chart, rendered by Helm's own engine: what it makes is valid, has no right that it does not need, and fits the registry."""

import copy

import helm_python
import kubernetes_validate
import pytest
import sources
import yaml

CHART = sources.DOCKER / "helm/swarm-registry"
# The oldest that Chart.yaml allows, and the newest whose schemas are here.
OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version().rpartition(".")[0]
ANSWERS = {
    "image": {"digest": "sha256:" + "0" * 64},
    "existingSecret": "registry-secrets",
    "config": {"DATABASE_URL": "postgresql://registry@db:5432/csa_registry"},
    "networkPolicy": {"database": {"cidr": "10.0.0.5/32"}, "objectStore": {"cidr": "10.0.1.0/24"}},
}
PUBLIC = {"ingress": {"host": "registry.example.com"}}
SECRETS = ["pgpass", "trust.yaml", "token_keys.yaml", "tls_certificate.pem", "tls_key.pem", "site_ca.pem", "site_crl.pem", "update_key.pem"]


def merged(base, *others):
    base = copy.deepcopy(base)
    for other in others:
        for key, value in other.items():
            base[key] = merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return base


def values(profile, *more):
    file = {} if profile == "default" else yaml.safe_load((CHART / f"values-{profile}.yaml").read_text())
    return merged(file, ANSWERS, PUBLIC if profile == "production" else {}, *more)


class Refused(Exception):
    """Helm does not render the chart with these values."""


def render(values):
    try:
        with helm_python.Chart.load(str(CHART)) as chart:
            files = chart.render(values, name="registry", namespace="swarm")
    except helm_python.HelmError as error:
        raise Refused(str(error)) from error
    return [document for name, text in sorted(files.items()) if name.endswith(".yaml") for document in yaml.safe_load_all(text) if document]


def lint(values):
    """What Helm has against the chart."""
    report = helm_python.lint(str(CHART), values)
    return report["errors"] + [message["error"] for message in report["messages"] if message["error"] != "icon is recommended"]


EVERYTHING = {
    "ingress": {"enabled": True, "host": "registry.example.com"},
    "resourceQuota": {"enabled": True},
    "existingSecret": "",
    "secret": {"create": True, "data": {name: "x" for name in SECRETS}},
    "imagePullSecrets": [{"name": "pull"}],
    "service": {"annotations": {"example.com/owner": "cells"}},
}
CASES = {
    "default": values("default"),
    "staging": values("staging"),
    "production": values("production"),
    "everything": values("production", EVERYTHING),
}


@pytest.fixture(params=CASES, scope="module")
def manifests(request):
    return render(CASES[request.param])


def one(manifests, kind, name="registry"):
    [found] = [it for it in manifests if it["kind"] == kind and it["metadata"]["name"] == name]
    return found


def pods(manifests):
    yield one(manifests, "Deployment")["spec"]["template"]
    yield one(manifests, "CronJob", "registry-backup")["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing(case):
    assert lint(CASES[case]) == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(manifests, version):
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found():
    manifest = one(render(CASES["default"]), "Deployment")
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


def test_every_template_makes_something_where_everything_is_on():
    kinds = sorted(manifest["kind"] for manifest in render(values("default", EVERYTHING, {"autoscaling": {"enabled": True}, "persistence": {"accessMode": "ReadWriteMany"}})))
    assert kinds == [
        "ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PersistentVolumeClaim",
        "PersistentVolumeClaim", "PodDisruptionBudget", "ResourceQuota", "Secret", "Service",
    ]


def test_pods_keep_to_the_restricted_pod_security_standard(manifests):
    for pod in pods(manifests):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == 1000
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert spec["automountServiceAccountToken"] is False
        for volume in spec["volumes"]:
            kind = set(volume) - {"name"}
            assert kind <= {"secret", "emptyDir", "persistentVolumeClaim", "configMap"}, volume
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True and "privileged" not in security
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_every_container_has_requests_and_limits(manifests):
    for pod in pods(manifests):
        for container in containers(pod):
            for kind in ("requests", "limits"):
                assert set(container["resources"][kind]) == {"memory", "cpu"}, container["name"]


def test_what_is_mounted_is_there(manifests):
    for pod in pods(manifests):
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted == volumes
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume}
        assert claims <= {it["metadata"]["name"] for it in manifests if it["kind"] == "PersistentVolumeClaim"}


def test_settings_are_the_registrys_and_their_files_are_there(manifests):
    known = sources.registry_settings() | sources.OF_LIBRARIES.keys() | sources.command_line_settings()
    config = one(manifests, "ConfigMap")["data"]
    assert config.keys() <= known
    for pod in pods(manifests):
        for container in containers(pod):
            if "envFrom" not in container:
                continue
            assert {entry["name"] for entry in container["env"]} <= known
            # What a setting names is copied by the first container, and mounted in this one.
            keys = {f"/run/keys/{path.rpartition('/')[2]}" for path in pod["spec"]["initContainers"][0]["command"][3:]}
            named = {value for value in config.values() if value.startswith("/run/keys/")}
            assert named <= keys and "/run/keys" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_secrets_are_copied_under_the_names_that_they_have(manifests):
    for pod in pods(manifests):
        first = pod["spec"]["initContainers"][0]
        assert first["command"][0] == "install" and "--mode=0400" in first["command"]
        assert [path.rpartition("/")[2] for path in first["command"][3:]] == SECRETS


def test_settings_are_checked_before_the_registry_starts(manifests):
    pod = one(manifests, "Deployment")["spec"]["template"]
    keys, check = pod["spec"]["initContainers"]
    [registry] = pod["spec"]["containers"]
    assert (keys["name"], check["args"]) == ("keys", ["--check"])
    assert check["envFrom"] == registry["envFrom"] and check["env"] == registry["env"] and check["image"] == registry["image"]


def test_probes_ask_routes_of_the_registry(manifests):
    [registry] = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = registry[probe]["httpGet"]
        assert asked["path"] in sources.routes() and asked["scheme"] == "HTTPS"
    annotations = one(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in sources.routes()
    # A database that is away must not have the replicas killed.
    assert registry["livenessProbe"]["httpGet"]["path"] == "/health"


def test_a_service_sends_requests_to_registries_only(manifests):
    selector = one(manifests, "Service")["spec"]["selector"]
    registry, backup = pods(manifests)
    assert selector.items() <= registry["metadata"]["labels"].items()
    assert not selector.items() <= backup["metadata"]["labels"].items()
    assert selector == one(manifests, "Deployment")["spec"]["selector"]["matchLabels"]
    for pod in (registry, backup):
        policy = one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
        assert policy.items() <= pod["metadata"]["labels"].items()


def test_the_registry_gets_as_long_to_end_as_it_takes(manifests):
    assert one(manifests, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > sources.drain_seconds()


def test_sizes_of_staging_and_production():
    staging, production = render(CASES["staging"]), render(CASES["production"])
    [registry] = one(staging, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert registry["resources"] == {"requests": {"memory": "1Gi", "cpu": "500m"}, "limits": {"memory": "2Gi", "cpu": "1"}}
    [registry] = one(production, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert registry["resources"] == {"requests": {"memory": "2Gi", "cpu": "1"}, "limits": {"memory": "8Gi", "cpu": "4"}}
    sizes = [(hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"], hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"])
             for hpa in (one(staging, "HorizontalPodAutoscaler"), one(production, "HorizontalPodAutoscaler"))]
    assert sizes == [(2, 10, 70), (5, 50, 70)]
    assert one(production, "CronJob", "registry-backup")["spec"]["schedule"] == "0 2 * * *"
    # Two that say how many pods there are would quarrel.
    assert "replicas" not in one(production, "Deployment")["spec"]


def test_a_volume_for_one_node_is_given_up_before_the_next_pod_takes_it():
    assert one(render(CASES["default"]), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert one(render(CASES["production"]), "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


FOLDER = {"config": {"ARTIFACT_STORAGE_PATH": "/var/lib/swarm_registry/artifacts"}}
REFUSED = {
    "no image": ("default", {"image": {"digest": ""}}, "/image"),
    "the newest image, whatever it is": ("default", {"image": {"digest": "", "tag": "latest"}}, "/image"),
    "no secret": ("default", {"existingSecret": ""}, "existingSecret"),
    "a password in the address": ("default", {"config": {"DATABASE_URL": "postgresql://registry:hunter2@db/x"}}, "DATABASE_URL"),
    "a password among the settings": ("default", {"config": {"DATABASE_PASSWORD": "x"}}, "DATABASE_PASSWORD"),
    "the development profile": ("default", {"config": {"REGISTRY_PROFILE": "development"}}, "REGISTRY_PROFILE"),
    "replicas over a file": ("staging", {"config": {"DATABASE_URL": "sqlite:/var/lib/swarm_registry/registry.db"}}, "DATABASE_URL"),
    "replicas over a volume for one node": ("staging", merged(FOLDER, {"persistence": {"enabled": True}}), "accessMode"),
    "a folder that goes with the pod": ("default", {"persistence": {"enabled": False}}, "persistence"),
    "a folder outside of the volume": ("default", {"config": {"ARTIFACT_STORAGE_PATH": "/tmp/x"}}, "ARTIFACT_STORAGE_PATH"),
    "an ingress without a name": ("production", {"ingress": {"host": ""}}, "ingress"),
    "a policy that cuts the database off": ("default", {"networkPolicy": {"database": {"cidr": ""}}}, "networkPolicy"),
    "a policy that cuts the bucket off": ("production", {"networkPolicy": {"objectStore": {"cidr": ""}}}, "networkPolicy"),
    "more connections than the database has": ("production", {"config": {"DATABASE_CONNECTIONS": "8"}}, "databaseMaxConnections"),
    "a value that the chart does not have": ("default", {"replicaCount": 3}, "replicaCount"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_helm_refuses(case):
    profile, wrong, place = REFUSED[case]
    with pytest.raises(Refused) as refusal:
        render(values(profile, wrong))
    assert place in str(refusal.value)


def test_a_secret_that_is_made_has_to_be_whole():
    made = {"existingSecret": "", "secret": {"create": True, "data": {name: "x" for name in SECRETS if name != "tls_key.pem"}}}
    with pytest.raises(Refused, match="tls_key.pem"):
        render(values("default", made))


def test_another_secret_means_other_pods():
    def checksum(revoked):
        data = {name: "x" for name in SECRETS} | {"site_crl.pem": revoked}
        made = render(values("default", {"existingSecret": "", "secret": {"create": True, "data": data}}))
        return one(made, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/secret"]

    assert checksum("nobody") == checksum("nobody") != checksum("cell-7")


def test_a_secret_that_is_made_holds_the_buckets_keys():
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
    made = render(values("production", EVERYTHING, {"secret": {"data": keys}}))
    assert keys.keys() <= one(made, "Secret")["data"].keys()
    for pod in pods(made):
        asked = {entry["valueFrom"]["secretKeyRef"]["key"] for entry in pod["spec"]["containers"][0]["env"] if "valueFrom" in entry}
        assert asked == keys.keys()


def test_a_backup_runs_where_the_volume_is_and_has_room_for_its_dump():
    pod = one(render(CASES["default"]), "CronJob", "registry-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [term] = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    registry = one(render(CASES["default"]), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= registry.items()
    assert term["topologyKey"] == "kubernetes.io/hostname"
    [tmp] = [volume for volume in pod["volumes"] if volume["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"].endswith("Gi")
    # Where many nodes can write, or there is no volume, any node will do.
    assert "affinity" not in one(render(CASES["production"]), "CronJob", "registry-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
