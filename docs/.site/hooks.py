"""What MkDocs is told beside mkdocs.yml: pages without a place come last; links that lead out of the site are names."""

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)]*|schemas/)\)")


def on_config(config: Any) -> Any:
    """Add the pages that the navigation does not list."""
    listed = set(_pages(config["nav"]))
    pages = sorted(page.name for page in Path(config["docs_dir"]).glob("*.md"))
    config["nav"] += [{"More": rest}] if (rest := [page for page in pages if page not in listed]) else []
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A file of the repository that is no page of the site: its name stands for the link."""
    return _OUTSIDE.sub(lambda found: _named(found["text"], found["target"].removeprefix("../")), markdown)


def _named(text: str, path: str) -> str:
    plain = text.strip("`")
    return f"`{path}`" if plain.strip("/") == path.strip("/") else f"{text} (`{path}`)"


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in _pages(part)]
