"""The command `upwell`. Each command is a module of this package, imported when it is called: `--help` stays quick."""

import errno
import importlib
import keyword
import logging
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from streams.errors import ConfigError, DataError, UpwellError

COMMANDS = {
    "demo": "Watch real shopping become recommendations, on this machine.",
    "worker": "Turn events into recommendations, until stopped.",
    "serve": "Answer HTTP requests, until stopped.",
    "keys": "API keys for `upwell serve`, and the keys of pseudonyms.",
    "pseudonym": "Under which name the topics know a shopper.",
    "rekey": "Move profiles to the shoppers' current pseudonyms.",
    "status": "Who works, how far behind, how much there is, what was refused.",
    "config": "The settings in force, each with where it came from.",
    "doctor": "What is wrong here, and what to do about it.",
    "produce": "Send events, catalogue items or questions from JSON Lines files.",
    "import": "Take events and catalogues from Gorse, Metarank, CSV, JSON Lines, Parquet.",
    "export": "Profiles, vectors, recommendations as Parquet files.",
    "tail": "Watch a topic: recommendations, events, refused records.",
    "profile": "What is known of a shopper, now or as of an offset.",
    "why": "Why an item is recommended to a shopper, or where it was dropped.",
    "erase": "Forget a shopper, for good.",
    "scrub": "Write this machine's stores anew, and prove that a shopper is in none.",
    "dlq": "Look at refused records, and send them back.",
    "evaluate": "What a policy is worth on a recorded log, beside baselines.",
    "replay": "State and recommendations once more, from the topics.",
    "reset": "Let the state go, to have it rebuilt from events and catalogue.",
    "plan": "Cores, memory, disks and topics that a shop needs.",
    "topics": "Create the topics, list them, compare them with the contract.",
    "broker": "Run a Kafka broker on this machine.",
    "model": "Fetch and inspect the sentence encoder.",
    "contract": "The topics as AsyncAPI and JSON Schema.",
    "completion": "Let the Tab key complete commands, options and choices.",
}
"""Every command and what it does: `upwell NAME` is the object NAME in the module `streams.cli.NAME` (`_python`)."""


class LazyGroup(click.Group):
    """Imports a command when it is called, and turns our own errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        name = _python(cmd_name)
        command = getattr(importlib.import_module(f"streams.cli.{name}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"streams.cli.{name}.{name} is {command!r}, wanted a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin like this, without importing any command."""
        found = [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (code := _exit_code(error)) is None:
                raise
            shown = click.ClickException(_of_file(error) if isinstance(error, OSError) else str(error))
            shown.exit_code = code
            raise shown from error


def _python(name: str) -> str:
    """A command's name in Python: `import` is a word of the language."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that is meant for people; None for a defect, which keeps its traceback."""
    if isinstance(error, UpwellError):
        return error.exit_code
    if isinstance(error, OSError):
        # Of files and folders that are named; of anything else it is no matter of whoever typed the command.
        return DataError.exit_code if isinstance(error.filename, (str, Path)) and error.errno in _OF_FILES else None
    # `encoders` knows nothing of our tree; where it was never imported the error is not one of its own.
    encoders = sys.modules.get("encoders.base")
    return ConfigError.exit_code if encoders and isinstance(error, encoders.EncoderError) else None


_OF_FILES = frozenset({
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS,
})  # fmt: skip


def _of_file(error: OSError) -> str:
    """A file or folder that cannot be used, in words."""
    return (
        f"cannot use {error.filename}: {error.strerror}. `upwell config` shows where files are, `upwell doctor` checks"
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="upwell", message="%(prog)s %(version)s")
def main() -> None:
    """Recommendations as a Kafka topic.

    \b
    Examples:
      upwell demo                   (real shopping, live)
      upwell broker start           (your own shop; or set KAFKA_BOOTSTRAP_SERVERS)
      upwell topics create
      upwell worker
      upwell produce catalogue.jsonl events.jsonl
      upwell tail recommendations
      upwell doctor                 (when something is wrong)

    Settings are environment variables, UPWELL_* for Upwell, KAFKA_* for the cluster: upwell config.

    \b
    Exit codes:
      0  fine                       4  topics or rows are not as this version expects
      1  something went wrong       5  a file or its content cannot be used
      2  wrong option or setting    130  interrupted
      3  no broker                  70  a worker that was stuck and ended itself
    """
    # Our errors say what went wrong; without a handler the client's own lines would be printed beside them.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
