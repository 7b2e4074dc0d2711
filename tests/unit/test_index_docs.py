"""The page of the index shows what happens."""

import re

import pytest

from tests.documents import ROOT


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "live-index.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    assert f"That prints `{capsys.readouterr().out.strip()}`" in page
