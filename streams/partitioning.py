"""Where the records of a key are: the partition that the shop's producers choose by it.

A login names a user whose events may be on another partition, where nobody has seen them yet: only the producers'
partitioner tells where that is. Whatever is sent here in the place of a producer has to go where the producer's own
records of that key are: the newest of an item on each of two partitions would both be kept.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from zlib import crc32

from aiokafka.partitioner import DefaultPartitioner, murmur2

Choose = Callable[[bytes | None, Sequence[int], Sequence[int]], int]
"""What aiokafka's producers ask: key, all partitions, those that have a leader; the partition."""


class Partitioner(StrEnum):
    """How producers of events choose a partition by the key."""

    MURMUR2 = "murmur2"
    """Java, aiokafka, kafka-python; librdkafka with `partitioner=murmur2_random`."""
    CRC32 = "crc32"
    """librdkafka and what is built on it, by default."""


def chooser(partitioner: Partitioner) -> Choose:
    """For a producer of aiokafka's, the partition of a key; of a record without one, any."""
    anywhere: Choose = DefaultPartitioner()
    if partitioner is Partitioner.MURMUR2:
        return anywhere

    def choose(key: bytes | None, everywhere: Sequence[int], reachable: Sequence[int]) -> int:
        if key is None:
            return anywhere(None, everywhere, reachable)
        return everywhere[crc32(key) % len(everywhere)]

    return choose


def partition_of(shopper: str, partitions: int, partitioner: Partitioner = Partitioner.MURMUR2) -> int:
    """The partition of a shopper's events among so many."""
    key = shopper.encode()
    hashed: int = murmur2(key) & 0x7FFFFFFF if partitioner is Partitioner.MURMUR2 else crc32(key)
    return hashed % partitions
