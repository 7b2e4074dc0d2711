"""Ends a worker that does nothing although there is something to do, so that whoever runs it starts it again.

Consumers are known to die without a word. The ends of the log are therefore asked for by a client of its own.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.stats import Stats
from streams.errors import UpwellError
from streams.health import LoopGuard, StallDetector
from streams.settings import KafkaSettings

LOOP_TIMEOUT_S = 60.0
"""An event loop that has not turned for so long is stuck."""

LOOKS = 10
"""How often the log is looked at within the stall timeout."""

EXIT_STUCK = 70
"""Exit code of a process whose loop is stuck (EX_SOFTWARE)."""


class StalledError(UpwellError):
    """Nothing is consumed although the log grows."""


class Watched(Protocol):
    """A role that consumes. `streams.engine.app.EngineApp` is one."""

    stats: Stats
    source: str

    def positions(self) -> Mapping[int, int]:
        """Assigned partitions of the source → next offset to read."""
        ...


async def watch(role: Watched, bootstrap: str, kafka: KafkaSettings, patience_s: float) -> None:
    """Look at a role until cancelled.

    Args:
        role: whom to watch.
        bootstrap: host:port of the cluster.
        kafka: how to talk to it.
        patience_s: seconds without progress that are too many.

    Raises:
        StalledError: it consumed nothing for that long while its part of the log grew.
    """
    detector = StallDetector(patience_s)
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **kafka.client_options())
    await client.start()
    try:
        while True:
            await asyncio.sleep(patience_s / LOOKS)
            positions = role.positions()
            partitions = [TopicPartition(role.source, number) for number in positions]
            try:
                ends = await client.end_offsets(partitions)
            except KafkaError:  # without a broker nobody makes progress; the engine's own tries go on
                continue
            behind = any(ends[partition] > positions[partition.partition] for partition in partitions)
            if detector.stalled(time.monotonic(), role.stats.records, sum(ends.values()), behind, len(positions)):
                raise StalledError(
                    f"the {role.stats.role} role consumed nothing for {patience_s:.0f} s while {role.source} grew"
                )
    finally:
        await client.stop()


async def guard_loop() -> None:
    """End the process if this event loop stops turning; runs until cancelled."""
    guard = LoopGuard(LOOP_TIMEOUT_S, _end_stuck)
    guard.start()
    try:
        while True:
            guard.turned()
            await asyncio.sleep(LOOP_TIMEOUT_S / 10)
    finally:
        guard.stop()


def _end_stuck() -> None:
    print(f"the event loop did not turn for {LOOP_TIMEOUT_S:.0f} s: ending", file=sys.stderr, flush=True)
    os._exit(EXIT_STUCK)
