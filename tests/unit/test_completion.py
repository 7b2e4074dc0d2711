"""`upwell completion`: what the shells are given, and what they get when they ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import COMMANDS, main
from streams.cli.completion import SHELLS

ENTRY = "import sys; sys.argv[0] = 'upwell'; from streams.cli import main; main()"


def asked(shell: str, words: str, program: str = ENTRY) -> str:
    """What a shell gets for a line whose last word is being typed."""
    parts = words.split(" ")
    environment = os.environ | {"_UPWELL_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = parts[-1] if shell == "fish" else str(len(parts) - 1)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_that_asks_upwell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_UPWELL_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed_with_what_they_do(shell: str) -> None:
    answer = asked(shell, "upwell do")
    assert "doctor" in answer
    assert "worker" not in answer
    assert shell == "bash" or COMMANDS["doctor"] in answer


def test_subcommands_options_and_choices_are_completed() -> None:
    assert asked("bash", "upwell topics c").split() == ["plain,check", "plain,create"]
    assert "plain,--strict" in asked("bash", "upwell produce --st")
    assert asked("bash", "upwell tail recom").split() == ["plain,recommendations"]


def test_commands_are_completed_without_importing_any() -> None:
    program = ENTRY.replace(
        "main()", "\ntry:\n    main()\nfinally:\n    print(sorted(sys.modules.keys() & {'aiokafka', 'numpy'}))"
    )
    assert asked("bash", "upwell ", program).endswith("[]\n")


def test_bash_itself_completes(tmp_path: Path) -> None:
    command = tmp_path / "upwell"
    command.write_text(f"#!{sys.executable}\n{ENTRY}\n")
    command.chmod(0o755)
    script = (
        'eval "$(upwell completion bash)"; COMP_WORDS=(upwell comp); COMP_CWORD=1\n'
        '_upwell_completion upwell; echo "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("completion\n", "")
