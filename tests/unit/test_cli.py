"""The root command: quick help, every command there, errors in words and exit codes."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from streams import cli
from streams.errors import BrokerError, ConfigError, ContractError, DataError, UpwellError


def every_command() -> list[tuple[str, click.Command]]:
    """Every command and subcommand, by the words that call it."""
    context = click.Context(cli.main)
    found = []
    for name in cli.COMMANDS:
        command = cli.main.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", child) for sub, child in command.commands.items()]
    return found


def test_every_command_and_option_says_what_it_does() -> None:
    for words, command in every_command():
        assert command.help, f"upwell {words} has no help"
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"upwell {words} {option.opts[0]} has no help"


def test_every_command_teaches_with_examples() -> None:
    for words, command in every_command():
        if " " not in words:
            assert "Example" in (command.help or ""), f"upwell {words} --help shows no example"


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


def test_an_unknown_command_is_refused() -> None:
    done = CliRunner().invoke(cli.main, ["brokre"])
    assert done.exit_code == 2
    assert "No such command 'brokre'" in done.stderr
