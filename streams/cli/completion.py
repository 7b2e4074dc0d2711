"""`upwell completion`: the Tab key knows commands, options and their choices."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_UPWELL_COMPLETE"
"""By it the shell asks what could come next (click derives it from the program's name)."""


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options and choices.

    \b
    Examples:
      upwell completion bash > ~/.local/share/bash-completion/completions/upwell
      upwell completion zsh > ~/.zfunc/_upwell          (with ~/.zfunc in fpath, before compinit)
      upwell completion fish > ~/.config/fish/completions/upwell.fish
      source <(upwell completion bash)                  (for this shell alone)
    """
    from streams.cli import main

    click.echo(SHELLS[shell](main, {}, "upwell", VARIABLE).source())
