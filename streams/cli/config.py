"""`upwell config`: the settings in force, each with where it came from."""

import json
import os

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams import configuration, settings
from streams.configuration import Origin, Setting

_ROOMY = 120
"""Columns of a terminal that has room for a column of explanations."""

_STYLES = {Origin.DEFAULT: "dim", Origin.ENVIRONMENT: "", Origin.FILE: ""}


@click.command()
@click.argument("prefix", default="")
@click.option("--changed", is_flag=True, help="Leave those out that have their default.")
@click.option("--markdown", is_flag=True, help="Print docs/configuration.md: every setting, whatever is in force.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def config(prefix: str, changed: bool, markdown: bool, as_json: bool) -> None:
    """Show the settings in force, and whether each is the default, from the environment or from a file.

    PREFIX narrows it down: KAFKA, UPWELL_API. Of secrets only whether they are set is shown.

    \b
    Examples:
      upwell config
      upwell config KAFKA
      upwell config --changed --json
      upwell config --markdown > docs/configuration.md
    """
    if markdown:
        click.echo(configuration.markdown(), nl=False)
        return
    found = [
        setting
        for loaded in (*settings.load(), settings.load_api())
        for setting in configuration.in_force(loaded, os.environ)
        if setting.variable.startswith(prefix.upper()) and not (changed and setting.origin is Origin.DEFAULT)
    ]
    if as_json:
        click.echo(json.dumps(list(map(_row, found)), ensure_ascii=False))
    elif found:
        console = Console()
        console.print(_shown(found, console.width))
    else:
        click.echo("No setting is like that.")


def _row(setting: Setting) -> dict[str, object]:
    return {
        "variable": setting.variable,
        "value": setting.value,
        "origin": setting.origin.value,
        "secret": setting.secret,
        "about": setting.about,
    }


def _shown(found: list[Setting], width: int) -> RenderableType:
    return _table(found) if width >= _ROOMY else _lines(found)


def _table(found: list[Setting]) -> Table:
    table = Table()
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    table.add_column("what")
    for setting in found:
        style = _STYLES[setting.origin]
        table.add_row(
            Text(setting.variable), Text(setting.text or "–", style), Text(setting.origin, style), Text(setting.about)
        )
    return table


def _lines(found: list[Setting]) -> Group:
    """Each setting on a line of its own, and what it is below."""
    lines: list[RenderableType] = []
    for setting in found:
        value = Text(f" {setting.text or '–'}  ({setting.origin})", _STYLES[setting.origin])
        lines += [Text(setting.variable, "bold") + value, Padding(Text(setting.about), (0, 0, 0, 4))]
    return Group(*lines)
