"""Where a shopper's events are."""

import pytest
from aiokafka.partitioner import DefaultPartitioner

from streams.partitioning import Partitioner, chooser, partition_of


@pytest.mark.parametrize("shopper", ["u-1842", "anna", "café", "用户"])
def test_murmur2_is_what_kafkas_clients_choose(shopper: str) -> None:
    everywhere = list(range(7))
    assert partition_of(shopper, 7) == DefaultPartitioner()(shopper.encode(), everywhere, everywhere)


@pytest.mark.parametrize(("shopper", "partition"), [("123456789", 0xCBF43926 % 7), ("", 0)])
def test_crc32_is_what_librdkafka_chooses(shopper: str, partition: int) -> None:
    """The check value of CRC-32 (ISO 3309)."""
    assert partition_of(shopper, 7, Partitioner.CRC32) == partition


@pytest.mark.parametrize("partitioner", Partitioner)
def test_what_producers_ask_puts_a_key_where_it_is_looked_for(partitioner: Partitioner) -> None:
    choose, everywhere = chooser(partitioner), list(range(7))
    for shopper in ("u-1842", "anna", "café", "用户"):
        assert choose(shopper.encode(), everywhere, [3]) == partition_of(shopper, 7, partitioner)
    assert choose(None, everywhere, [3]) == 3
