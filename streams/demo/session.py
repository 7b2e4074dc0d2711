"""The part of a run that talks to Kafka: send the data, watch what comes of it, show it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from streams.broker import Broker
from streams.demo.child import Child, check_broker, last_words
from streams.demo.dataset import Dataset
from streams.demo.display import LINE_EVERY_S, Display
from streams.demo.feed import Feed, Speed, feeding
from streams.demo.outcome import Outcome
from streams.demo.stop import Stop, Stopped
from streams.demo.tracker import Tracker
from streams.demo.view import Stage, View
from streams.demo.watch import outputs
from streams.errors import UpwellError
from streams.records import Recommendation
from streams.settings import KafkaSettings
from streams.topics import Topics

FRAME_S = 0.25
CHECK_S = 0.5
STALLED_S = 120.0
"""When no further item becomes searchable for so long, something is wrong."""
DRAIN_S = 5.0
"""How long the last events may wait for their answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """The shop to send to, and how to reach it."""

    broker: Broker
    kafka: KafkaSettings
    topics: Topics


class Session:
    """One pass over the data. What came of it can be asked for at any time, also after an interruption."""

    def __init__(self, data: Dataset, speed: Speed, stage: Stage, display: Display, worker: Child) -> None:
        self._data = data
        self._speed = speed
        self._stage = stage
        self._display = display
        self._worker = worker
        self.searchable: set[str] = set()
        """Ids of the items whose vectors were published."""
        self.tracker: Tracker | None = None
        """None until the first event is due."""
        self._answer = asyncio.Event()

    async def run(self, place: Place) -> None:
        """Send catalogue and events, and watch the answers.

        Raises:
            BrokerError: the broker went away.
            UpwellError: the worker ended, or does nothing.
        """
        bootstrap = place.broker.bootstrap
        async with feeding(bootstrap, place.kafka, place.topics) as feed:
            watching = outputs(bootstrap, place.kafka, place.topics, self.searchable.add, self._recommended)
            await beside(self._send(feed), watching, self._check(place.broker))

    async def _send(self, feed: Feed) -> None:
        with self._display.encoding(len(self._data.items)) as advance:
            await asyncio.gather(feed.catalogue(self._data.items), self._until_searchable(advance))
        await self._until_ready()
        start = time.monotonic()
        tracker = self.tracker = Tracker(self._stage.follow, start)
        with self._display.live() as show:
            await beside(self._events(feed, tracker, start), self._frames(tracker, show))

    async def _until_searchable(self, advance: Callable[[int], None]) -> None:
        done, since = -1, time.monotonic()
        while done < len(self._data.items):
            if len(self.searchable) > done:
                done, since = len(self.searchable), time.monotonic()
                advance(done)
            elif time.monotonic() - since > STALLED_S:
                raise UpwellError(
                    f"no product became searchable for {STALLED_S:.0f} s; the worker's last words:\n"
                    f"{last_words(self._worker.log)}"
                )
            await asyncio.sleep(FRAME_S)

    async def _until_ready(self) -> None:
        """Wait until the worker does all of its work: an event that is sent before waits for that, too."""
        since = time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CHECK_S)) as http:
            while time.monotonic() - since < STALLED_S:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(self._worker.readyz) as answer:
                        if answer.status == HTTPStatus.OK:
                            return
                await asyncio.sleep(FRAME_S)
        raise UpwellError(f"the worker is not ready; its last words:\n{last_words(self._worker.log)}")

    async def _events(self, feed: Feed, tracker: Tracker, start: float) -> None:
        await feed.events(
            self._data.baskets(), self._speed, start, tracker.sent, lambda: tracker.acknowledged(time.monotonic())
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while tracker.unanswered:
                    self._answer.clear()
                    await self._answer.wait()

    async def _frames(self, tracker: Tracker, show: Callable[[View], None]) -> None:
        while True:
            show(View(self._stage, tracker.now(time.monotonic()), len(self.searchable)))
            await asyncio.sleep(FRAME_S)

    async def _check(self, broker: Broker) -> None:
        while True:
            check_broker(broker)
            self._worker.check()
            await asyncio.sleep(CHECK_S)

    def _recommended(self, recommendation: Recommendation, now: float) -> None:
        if self.tracker is not None:
            self.tracker.received(recommendation, now)
            self._answer.set()


async def dispatch(data: Dataset, speed: Speed, place: Place, display: Display, outcome: Outcome) -> None:
    """Only send a catalogue and its events, counting into `outcome`.

    Raises:
        BrokerError: the broker went away.
    """

    def acknowledged() -> None:
        outcome.events += 1

    async def telling() -> None:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            display.tell(f"{outcome.events:,} of {len(data.purchases):,} events sent")

    async with feeding(place.broker.bootstrap, place.kafka, place.topics) as feed:
        await feed.catalogue(data.items)
        outcome.items = len(data.items)
        display.tell(f"{outcome.items:,} products sent")
        start = time.monotonic()
        try:
            await beside(feed.events(data.baskets(), speed, start, lambda _, __: None, acknowledged), telling())
        finally:
            outcome.seconds = time.monotonic() - start


async def until(stop: Stop, work: Coroutine[Any, Any, object]) -> None:
    """Do the work; a signal cancels it.

    Raises:
        Stopped: there was a signal, and the work has been cleaned up.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    with stop.calling(lambda: loop.call_soon_threadsafe(task.cancel)):
        await asyncio.wait({task})
    if task.cancelled():
        raise Stopped
    task.result()


async def beside(main: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end with endless others beside it; the first error of any of them ends it all."""
    tasks = [asyncio.ensure_future(one) for one in (main, *others)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
