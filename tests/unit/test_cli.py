"""The root command: quick help, every command there, errors in words and exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streams import cli
from streams.errors import BrokerError, ConfigError, ContractError, DataError, UpwellError


def command(name: str) -> click.Command:
    found = cli.main.get_command(click.Context(cli.main), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_commands_subcommands_and_options_say_what_they_do(name: str) -> None:
    whole = command(name)
    parts = list(whole.commands.values()) if isinstance(whole, click.Group) else []
    for part in (whole, *parts):
        assert part.help, f"upwell {name}: {part.name} has no help"
        for option in part.params:
            if isinstance(option, click.Option):
                assert option.help, f"upwell {name}: {part.name} {option.opts[0]} has no help"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_teaches_with_examples(name: str) -> None:
    text = command(name).help or ""
    assert "Example" in text, f"upwell {name} --help shows no example"
    assert f"upwell {name}" in text


def test_questions_are_not_imported() -> None:
    done = CliRunner().invoke(cli.main, ["import", "jsonl", "questions.jsonl", "--as", "questions"])
    assert done.exit_code == 2
    assert "'questions' is not one of 'events', 'catalogue'" in done.stderr


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from streams.cli import COMMANDS, main\n"
        "shown = CliRunner().invoke(main, ['--help']).output\n"
        "assert all(name in shown for name in COMMANDS), shown\n"
        "print(sorted(sys.modules.keys() & {'aiokafka', 'faust', 'numpy', 'rich', 'streams.cli.broker'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(UpwellError, 1), (ConfigError, 2), (BrokerError, 3), (ContractError, 4), (DataError, 5)],
)
def test_our_errors_become_a_line_and_an_exit_code(
    error: type[UpwellError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broker() -> None:
        raise error("what was got, what was wanted, what to do")

    monkeypatch.setattr("streams.cli.broker.broker", broker)
    done = CliRunner().invoke(cli.main, ["broker"])
    assert done.exit_code == code
    assert done.stderr == "Error: what was got, what was wanted, what to do\n"


def test_an_encoder_error_is_for_people_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from encoders.base import MissingRuntimeError

    @click.command()
    def broker() -> None:
        raise MissingRuntimeError("install upwell[cpu]")

    monkeypatch.setattr("streams.cli.broker.broker", broker)
    done = CliRunner().invoke(cli.main, ["broker"])
    assert (done.exit_code, done.stderr) == (2, "Error: install upwell[cpu]\n")


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broker() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("streams.cli.broker.broker", broker)
    done = CliRunner().invoke(cli.main, ["broker"])
    assert isinstance(done.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/srv/x"), 5, "Error: cannot use /srv/x: Permission denied."),
        (OSError(28, "No space left on device", Path("/srv/x")), 5, "cannot use /srv/x: No space left on device."),
        (OSError(28, "No space left on device"), 1, ""),
        (ConnectionRefusedError(111, "Connection refused"), 1, ""),
        (BlockingIOError(11, "Resource temporarily unavailable", "/srv/x"), 1, ""),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_no_defect(
    error: OSError, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broker() -> None:
        raise error

    monkeypatch.setattr("streams.cli.broker.broker", broker)
    done = CliRunner().invoke(cli.main, ["broker"])
    assert done.exit_code == code
    assert said in done.stderr
    assert (done.exception is error) is (code == 1)


@pytest.mark.parametrize("command", [["broker", "start"], ["broker", "status"], ["reset"]])
def test_a_data_directory_that_is_none_is_told(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("UPWELL_DATA_DIR", str(tmp_path / "file"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 5
    assert "Not a directory" in done.stderr


@pytest.mark.parametrize(
    "command", [["erase", ""], ["profile", ""], ["why", "", "saw"], ["scrub", ""], ["tail", "events", "--user", ""]]
)
def test_a_shopper_without_a_name_is_refused(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 2
    assert "empty" in done.stderr


def test_an_unknown_command_is_refused() -> None:
    done = CliRunner().invoke(cli.main, ["brokre"])
    assert done.exit_code == 2
    assert "No such command 'brokre'" in done.stderr


def test_every_exit_code_is_documented_and_none_is_used_twice() -> None:
    from pathlib import Path

    from streams.watchdog import EXIT_STUCK

    page = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    documented = {int(line.split("|")[1]) for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()}
    direct = {error.exit_code for error in (UpwellError, ConfigError, BrokerError, ContractError, DataError)}
    assert direct == {1, 2, 3, 4, 5}
    assert documented == {0, EXIT_STUCK, 130} | direct
    shown = CliRunner().invoke(cli.main, ["--help"]).stdout
    assert all(f"  {code}  " in shown for code in documented)
