"""Every kind of bad record is refused by the edge, with a reason, and costs nothing but itself."""

from dataclasses import replace

import pytest

from streams.edge import accept_event
from streams.engine.effects import Rejection
from tests.unit.bad_payloads import GOOD, USER, bad_payloads, encoded
from tests.unit.records import LIMITS, FakeRecord

GENEROUS = replace(LIMITS, max_event_bytes=65_536)
PAYLOADS = bad_payloads()


def test_there_are_many_kinds_and_the_good_one_is_good() -> None:
    assert len(PAYLOADS) >= 200
    assert len({name for name, _, _ in PAYLOADS}) == len(PAYLOADS)
    assert not isinstance(accept_event(FakeRecord(USER.encode(), encoded(GOOD)), GENEROUS), Rejection)


@pytest.mark.parametrize(("name", "key", "value"), PAYLOADS, ids=[name for name, _, _ in PAYLOADS])
def test_it_is_refused(name: str, key: bytes | None, value: bytes | None) -> None:
    refused = accept_event(FakeRecord(key, value), GENEROUS)
    assert isinstance(refused, Rejection), name
    assert refused.detail
