"""`upwell config`: the settings in force, each with where it came from."""

import json
import os

import click
from rich import box
from rich.console import Console
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
        console.print(_table(found, console.width))
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


def _table(found: list[Setting], width: int) -> Table:
    """Each setting on a line, what it is beside it; below it, where there is no room."""
    roomy = width >= _ROOMY
    table = Table(box=box.HEAVY_HEAD if roomy else box.SIMPLE_HEAD)
    table.add_column("variable", no_wrap=roomy, overflow="fold")
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    if roomy:
        table.add_column("what")
    for setting in found:
        style = _STYLES[setting.origin]
        name, about = Text(setting.variable, "bold"), Text(setting.about)
        cells = [Text(setting.text or "–", style), Text(setting.origin, style)]
        if roomy:
            table.add_row(name, *cells, about)
        else:
            table.add_row(Text("\n").join([name, about]), *cells)
    return table
