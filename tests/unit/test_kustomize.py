"""The Kubernetes overlays: built by kustomize, checked against the schemas of Kubernetes and against Upwell itself."""

import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from streams.settings import ApiSettings, KafkaSettings, Settings
from streams.topics import topics
from tests.unit.test_deploy import SERVED, assert_in_cli

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "deploy" / "kustomize" / "overlays"
NAMES = sorted(path.name for path in OVERLAYS.iterdir())
VERSIONS = ("1.30", "1.34")

SECRETS = {"upwell-kafka", "upwell-api-keys", "upwell-metrics-key"}
"""What whoever deploys must bring; docs/scaling.md says how."""

KEDA = {
    "type": "object",
    "required": ["scaleTargetRef", "triggers"],
    "additionalProperties": False,
    "properties": {
        "scaleTargetRef": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"apiVersion": {}, "kind": {"type": "string"}, "name": {"type": "string"}},
        },
        "pollingInterval": {"type": "integer", "minimum": 1},
        "cooldownPeriod": {"type": "integer", "minimum": 0},
        "minReplicaCount": {"type": "integer", "minimum": 0},
        "maxReplicaCount": {"type": "integer", "minimum": 1},
        "advanced": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "horizontalPodAutoscalerConfig": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"name": {}, "behavior": {"type": "object"}},
                }
            },
        },
        "triggers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "metadata"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "kafka"},
                    "authenticationRef": {"type": "object"},
                    "metadata": {
                        "type": "object",
                        "required": ["bootstrapServers", "consumerGroup", "topic", "lagThreshold"],
                        "additionalProperties": {"type": "string"},
                    },
                },
            },
        },
    },
}
"""A ScaledObject as far as it is used here, from KEDA's documentation: its own schema comes with no package."""


@cache
def _built(overlay: str) -> tuple[dict[str, Any], ...]:
    """The resources of an overlay."""
    beside = Path(sys.executable).parent / "kustomize"
    tool = str(beside) if beside.exists() else shutil.which("kustomize")
    kubectl = shutil.which("kubectl")
    assert tool or kubectl, "kustomize is missing: `make kustomize` gets it, or install kubectl"
    command = [tool, "build"] if tool else [str(kubectl), "kustomize"]
    done = subprocess.run([*command, OVERLAYS / overlay], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def _kind(overlay: str, *kinds: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in _built(overlay) if one["kind"] in kinds}


def _pods(overlay: str) -> dict[str, dict[str, Any]]:
    """Pod templates by the name of what makes them."""
    return {n: one["spec"]["template"] for n, one in _kind(overlay, "Deployment", "StatefulSet", "Job").items()}


def _containers(overlay: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in _pods(overlay).items():
        for container in pod["spec"]["containers"]:
            yield name, container


def _settings(overlay: str) -> dict[str, str]:
    (found,) = _kind(overlay, "ConfigMap").values()
    data: dict[str, str] = found["data"]
    return data


def _selected(pods: dict[str, dict[str, Any]], labels: dict[str, str]) -> list[str]:
    return [name for name, pod in pods.items() if labels.items() <= pod["metadata"]["labels"].items()]


@pytest.mark.parametrize("overlay", NAMES)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_resource(overlay: str, version: str) -> None:
    own = [
        one for one in _built(overlay) if one["apiVersion"].split("/")[0] not in ("keda.sh", "monitoring.coreos.com")
    ]
    assert len(own) >= 9
    for resource in own:
        kubernetes_validate.validate(resource, version, strict=True)
    broken = copy.deepcopy(next(one for one in own if one["kind"] == "StatefulSet"))
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_nothing_is_built_twice_and_all_is_in_one_namespace() -> None:
    for overlay in NAMES:
        identities = [(one["kind"], one["metadata"]["name"]) for one in _built(overlay)]
        assert len(set(identities)) == len(identities)
        assert {one["metadata"]["namespace"] for one in _built(overlay)} == {"upwell"}


@pytest.mark.parametrize("overlay", NAMES)
def test_containers_can_do_little(overlay: str) -> None:
    for name, pod in _pods(overlay).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not spec.get("hostNetwork"), name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name
    for name, container in _containers(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", container["image"]), (
            f"{name}: {container['image']} is not pinned"
        )
        written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert "/tmp" in written


@pytest.mark.parametrize("overlay", NAMES)
def test_what_runs_for_long_is_probed_and_may_be_disrupted_one_at_a_time(overlay: str) -> None:
    long = {n: one["spec"]["template"] for n, one in _kind(overlay, "Deployment", "StatefulSet").items()}
    for name, pod in long.items():
        (container,) = pod["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"]["path"] == path, name
            assert container[probe]["httpGet"]["port"] in ports, name
    budgets = _kind(overlay, "PodDisruptionBudget")
    for name, budget in budgets.items():
        assert _selected(long, budget["spec"]["selector"]["matchLabels"]) == [name]
        counted = _kind(overlay, "Deployment", "StatefulSet")[name]["spec"].get("replicas", 2)
        assert budget["spec"].get("minAvailable", 0) < counted, f"{name} could never be drained"
    replicated = [
        n for n, one in _kind(overlay, "Deployment", "StatefulSet").items() if one["spec"].get("replicas", 2) > 1
    ]
    assert set(replicated) <= budgets.keys()


@pytest.mark.parametrize("overlay", NAMES)
def test_everything_that_is_named_is_there(overlay: str) -> None:
    pods, maps = _pods(overlay), _kind(overlay, "ConfigMap")
    ports = {n: {p["name"] for p in c.get("ports", [])} for n, c in _containers(overlay)}
    for name, pod in pods.items():
        assert pod["spec"]["serviceAccountName"] in _kind(overlay, "ServiceAccount"), name
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        claims = _kind(overlay, "StatefulSet").get(name, {}).get("spec", {}).get("volumeClaimTemplates", [])
        volumes |= {claim["metadata"]["name"] for claim in claims}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    assert source["configMapRef"]["name"] in maps, name
                else:
                    assert source["secretRef"]["name"] in SECRETS, name
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in SECRETS
    for name, service in _kind(overlay, "Service").items():
        (found,) = _selected(pods, service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[found], name
    for name, stateful in _kind(overlay, "StatefulSet").items():
        assert _kind(overlay, "Service")[stateful["spec"]["serviceName"]]["spec"]["clusterIP"] == "None", name
    (policy,) = _kind(overlay, "NetworkPolicy").values()
    assert set(_selected(pods, policy["spec"]["podSelector"]["matchLabels"])) == pods.keys()
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == set().union(
        *ports.values()
    )


@pytest.mark.parametrize("overlay", NAMES)
def test_upwell_knows_its_commands_and_settings(overlay: str) -> None:
    known = {f"UPWELL_{name}".upper() for name in Settings.model_fields}
    known |= {f"KAFKA_{name}".upper() for name in KafkaSettings.model_fields}
    known |= {f"UPWELL_API_{name}".upper() for name in ApiSettings.model_fields}
    given = _settings(overlay)
    assert given.keys() <= known
    Settings.model_validate({name.removeprefix("UPWELL_").lower(): v for name, v in given.items() if "UPWELL" in name})
    for name, container in _containers(overlay):
        assert_in_cli(container["args"])
        assert {one["name"] for one in container.get("env", [])} <= known, name
        listening = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        if "probes" in listening:
            assert listening["probes"] == int(given["UPWELL_PROBE_PORT"])
            assert given["UPWELL_PROBE_HOST"] == "0.0.0.0"
        if "http" in listening:
            assert listening["http"] == ApiSettings.model_fields["port"].default
            assert {one["name"]: one.get("value") for one in container["env"]}["UPWELL_API_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("overlay", NAMES)
def test_workers_with_state_keep_their_names_and_volumes(overlay: str) -> None:
    (worker,) = _kind(overlay, "StatefulSet").values()
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    roles = container["args"][container["args"].index("--roles") + 1].split(",")
    assert {"profiles", "neighbours"} <= set(roles)
    assert container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert worker["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]
    everything = {
        role for _, one in _containers(overlay) if "--roles" in one["args"] for role in one["args"][2].split(",")
    }
    assert everything == SERVED, "a role that nobody has"


def test_production_scales_by_the_lag_of_our_groups() -> None:
    given = _settings("production")
    shop, partitions = given["UPWELL_SHOP"], int(given["UPWELL_PARTITIONS"])
    contract = topics(shop, partitions)
    expected = {
        "upwell-worker": (f"{shop}.upwell.profiles", contract.events),
        "upwell-encoder": (f"{shop}.upwell.encoder", contract.catalogue),
        "upwell-answers": (f"{shop}.upwell.answers", contract.questions),
    }
    scaled = _kind("production", "ScaledObject")
    assert scaled.keys() == expected.keys()
    workloads = _kind("production", "Deployment", "StatefulSet")
    for name, (group, topic) in expected.items():
        spec = scaled[name]["spec"]
        jsonschema.validate(spec, KEDA)
        target = workloads[spec["scaleTargetRef"]["name"]]
        assert target["kind"] == spec["scaleTargetRef"]["kind"]
        assert "replicas" not in target["spec"], "two would set the number of pods"
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["consumerGroup"] == group
        assert trigger["metadata"]["topic"] == topic.name
        assert trigger["metadata"]["bootstrapServers"] == given["KAFKA_BOOTSTRAP_SERVERS"]
        assert spec["minReplicaCount"] <= spec["maxReplicaCount"] == topic.partitions
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled["upwell-worker"]["spec"] | {"maxReplicas": 3}, KEDA)


def test_production_encodes_on_gpus_and_insists() -> None:
    (container,) = _pods("production")["upwell-encoder"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "--require-gpu" in container["args"]
    assert container["image"].startswith("upwell-gpu:")


def test_production_is_watched() -> None:
    pods = _pods("production")
    ports = {n: {p["name"] for p in c.get("ports", [])} for n, c in _containers("production")}
    (monitor,) = _kind("production", "PodMonitor").values()
    watched = _selected(pods, monitor["spec"]["selector"]["matchLabels"])
    endpoint = monitor["spec"]["podMetricsEndpoints"][0]["port"]
    probed = [name for name in watched if endpoint in ports[name]]
    assert probed == ["upwell-answers", "upwell-encoder", "upwell-worker"]
    (serving,) = _kind("production", "ServiceMonitor").values()
    services = _kind("production", "Service")
    chosen = [
        n
        for n, s in services.items()
        if serving["spec"]["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()
    ]
    assert chosen == ["upwell-serve"]
    assert serving["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in services["upwell-serve"]["spec"]["ports"]
    }
    assert serving["spec"]["endpoints"][0]["authorization"]["credentials"]["name"] in SECRETS


def test_no_secret_is_in_a_file() -> None:
    for overlay in NAMES:
        assert not _kind(overlay, "Secret")
        assert not any(re.search("PASSWORD|SECRET|TOKEN", name) for name in _settings(overlay))
