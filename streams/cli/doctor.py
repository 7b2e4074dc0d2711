"""`upwell doctor`: what is wrong here, and what to do about it."""

import asyncio
import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.text import Text

from streams import settings
from streams.cli.waiting import waiting
from streams.doctor import Finding, Verdict, examine
from streams.doctor.finding import fail
from streams.errors import ConfigError, UpwellError

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@click.command()
@click.option(
    "--probe", is_flag=True,
    help="Compare the clocks with a record on the topic SHOP.upwell.doctor, made for it and deleted.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(probe: bool, as_json: bool) -> None:
    """Look at settings, machine, model and cluster; exit code 1 if anything fails.

    Looked at: the policy's file, versions, data directory, disk, open files, locks of the stores, the model's
    digests, what runs it, the broker, the topics, the clock. Each line is ok, warn (works, but not for long or not
    well) or fail. Nothing is changed or written, unless --probe is given.

    \b
    Examples:
      upwell doctor
      upwell doctor --probe
      upwell doctor --json | jq '.findings[] | select(.verdict != "ok")'
    """
    try:
        configured, kafka = settings.load()
        settings.load_api()
    except ConfigError as error:
        _, *lines = str(error).splitlines()
        findings = [fail("settings", line.strip(), "see docs/configuration.md") for line in lines]
    else:
        with waiting("looking at machine, model and cluster"):
            findings = asyncio.run(examine(configured, kafka, probe=probe))
    failed = sum(finding.verdict is Verdict.FAIL for finding in findings)
    if as_json:
        click.echo(_json(findings))
    else:
        _show(findings)
    if failed:
        raise UpwellError(f"{failed} of {len(findings)} checks failed")


def _json(findings: Sequence[Finding]) -> str:
    rows = [
        {"check": one.check, "verdict": one.verdict.value, "found": one.found, "advice": one.advice or None}
        for one in findings
    ]
    well = all(one.verdict is not Verdict.FAIL for one in findings)
    return json.dumps({"ok": well, "findings": rows}, ensure_ascii=False)


def _show(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        line = Text.assemble((f"{finding.verdict:<5}", _STYLES[finding.verdict]), f"{finding.check:<11}", finding.found)
        console.print(line)
        if finding.advice:
            console.print(Text(f"     {'':<11}→ {finding.advice}", style="dim"))
