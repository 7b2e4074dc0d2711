"""Where the demo shows itself: a terminal with a live view, or plain lines. Both write to stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from streams.demo.tracker import Figures
from streams.demo.view import View

FRAMES_S = 4
LINE_EVERY_S = 5.0


class Display(Protocol):
    """What the run calls; all of it from the main thread."""

    def tell(self, line: str) -> None:
        """Say something."""
        ...

    def step(self, doing: str) -> AbstractContextManager[None]:
        """Show that something takes time."""
        ...

    def encoding(self, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show how many of `total` items are searchable; the block calls what it gets with the number."""
        ...

    def live(self) -> AbstractContextManager[Callable[[View], None]]:
        """Show the run; the block calls what it gets with one frame after another."""
        ...


def choose(*, plain: bool) -> Display:
    """The live terminal where there is one and `plain` is not asked for."""
    console = Console(stderr=True, highlight=False)
    able = console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()
    return Terminal(console) if able and not plain else Plain()


class Terminal:
    """Set-up as ticked lines with a bar, then the live view on the alternate screen."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, line: str) -> None:
        """Print a line; above whatever moves."""
        self._console.print(Text(f"  {line}", style="dim"))

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """A spinner, then a tick with the seconds it took."""
        begun = time.monotonic()
        with self._console.status(Text(doing)):
            yield
        took = time.monotonic() - begun
        self._console.print(Text.assemble(("✓ ", "bold green"), doing, (f"  {took:.1f} s", "dim")))

    @contextmanager
    def encoding(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar."""
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        begun: list[float] = []
        with Progress(*columns, console=self._console, transient=True, expand=True) as progress:
            bar = progress.add_task("starting the worker", total=total, rate="")

            def advance(done: int) -> None:
                if done and not begun:
                    begun.append(time.monotonic())
                seconds = time.monotonic() - begun[0] if begun else 0.0
                rate = f"{done / seconds:,.0f}/s" if seconds > 1 else ""
                doing = "encoding products" if done else "starting the worker"
                progress.update(bar, completed=done, rate=rate, description=doing)

            yield advance
        seconds = time.monotonic() - begun[0] if begun else 0.0
        said = f"Encoded {total:,} products; all of them are searchable"
        self._console.print(Text.assemble(("✓ ", "bold green"), said, (f"  {seconds:.1f} s", "dim")))

    @contextmanager
    def live(self) -> Iterator[Callable[[View], None]]:
        """The view, drawn by a thread of its own: drawing must not hold up the clock of the latencies."""
        frame: list[View] = []
        with Live(
            get_renderable=lambda: frame[-1] if frame else "",
            console=self._console,
            screen=True,
            refresh_per_second=FRAMES_S,
        ):

            def show(view: View) -> None:
                frame[:] = [view]

            yield show


class Plain:
    """Lines on stderr, without any control codes."""

    def tell(self, line: str) -> None:
        """Print a line."""
        click.echo(line, err=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """A line when it begins."""
        self.tell(f"{doing} …")
        yield

    @contextmanager
    def encoding(self, total: int) -> Iterator[Callable[[int], None]]:
        """A line every few seconds."""
        due = _Every(LINE_EVERY_S)
        self.tell("Starting the worker …")

        def advance(done: int) -> None:
            if done and (done == total or due()):
                self.tell(f"{done:,} of {total:,} products are searchable")

        yield advance

    @contextmanager
    def live(self) -> Iterator[Callable[[View], None]]:
        """A line every few seconds."""
        due = _Every(LINE_EVERY_S)

        def show(view: View) -> None:
            if due():
                self.tell(one_line(view.figures))

        yield show


class _Every:
    """True once every so many seconds; not at the very start."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def one_line(f: Figures) -> str:
    """The figures for a log."""
    parts = [
        f"{f.seconds:.0f} s",
        f"{f.events:,} events ({f.events_rate:,.0f}/s)",
        f"{f.recommendations:,} recommendations ({f.recommendations_rate:,.0f}/s)",
    ]
    if f.p50_ms is not None and f.p99_ms is not None:
        parts.append(f"latency p50 {f.p50_ms:,.0f} ms, p99 {f.p99_ms:,.0f} ms")
    if f.hit_rate is not None and f.popularity_hit_rate is not None:
        parts.append(f"hit rate {f.hit_rate:.3f} (popularity {f.popularity_hit_rate:.3f})")
    return ", ".join(parts)
