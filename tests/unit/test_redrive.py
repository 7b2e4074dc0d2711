"""Which dead letters go back, and as what."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.deadletters import Refused, dead_letter, refused, without_content
from streams.engine.effects import Output, Rejection, RejectReason
from streams.redrive import REDRIVEN, Fate, Log, copy, earlier
from streams.topics import topics
from tests.unit.records import FakeRecord, event

TOPICS = topics("shop", partitions=2)
EVENTS, CATALOGUE = TOPICS.events.name, TOPICS.catalogue.name


def letter_of(record: FakeRecord) -> FakeRecord:
    """The record on the dead-letter topic."""
    output = dead_letter(TOPICS.dlq.name, Rejection(record, RejectReason.HANDLER_ERROR, "a défect"))
    return FakeRecord(output.key, output.value, 0, output.topic, 0, headers=list(output.headers))


def refusal(record: FakeRecord) -> Refused:
    about = refused(letter_of(record))
    assert about is not None
    return about


def log(*records: FakeRecord, begin: int = 0, end: int = 100) -> Log:
    spans = {(topic, partition): (begin, end) for topic in (EVENTS, CATALOGUE) for partition in (0, 1)}
    noted = Log(TOPICS, spans)
    for record in records:
        noted.note(record)
    return noted


def landed(output: Output, offset: int) -> FakeRecord:
    """What is sent, as it stands on its topic then."""
    assert output.partition is not None
    return FakeRecord(output.key, output.value, offset, output.topic, output.partition, headers=list(output.headers))


@given(
    st.builds(
        FakeRecord,
        key=st.none() | st.binary(max_size=8),
        value=st.none() | st.binary(max_size=8),
        offset=st.integers(0, 2**40),
        topic=st.sampled_from([EVENTS, CATALOGUE]),
        partition=st.integers(0, 9),
        timestamp=st.integers(-1, 2**41),
        headers=st.lists(st.tuples(st.sampled_from(["trace", "upwell.reason", REDRIVEN]), st.binary(max_size=4))),
    )
)
def test_a_dead_letter_says_everything_of_the_record(record: FakeRecord) -> None:
    about = refusal(record)
    assert (about.topic, about.partition, about.offset) == (record.topic, record.partition, record.offset)
    assert (about.key, about.value, about.headers) == (record.key, record.value, tuple(record.headers))
    assert (about.timestamp, about.reason, about.detail) == (record.timestamp, "handler-error", "a défect")


def test_what_is_no_dead_letter_is_known_as_such() -> None:
    assert refused(event()) is None
    broken = letter_of(event())
    broken.headers[-2] = ("upwell.offset", b"many")
    assert refused(broken) is None
    broken.headers[-2] = ("upwell.offset", b"\xff")
    assert refused(broken) is None


def test_a_copy_is_the_record_and_says_where_it_was() -> None:
    record = FakeRecord(b"anna", b"}", 7, EVENTS, 1, headers=[("trace", b"x"), ("upwell.reason", b"my own")])
    assert copy(refusal(record)) == Output(
        EVENTS, b"anna", b"}", 1, (("trace", b"x"), ("upwell.reason", b"my own"), (REDRIVEN, b"shop.events.v1/1@7"))
    )


def test_it_goes_back_once() -> None:
    about = refusal(event(3))
    assert log().fates([about]) == [Fate.SEND]
    assert log(landed(copy(about), 9)).fates([about]) == [Fate.REDRIVEN]


def test_two_letters_of_one_record_are_one() -> None:
    about = refusal(event(3))
    assert log().fates([about, about]) == [Fate.SEND, Fate.REDRIVEN]


def test_a_copy_that_is_refused_again_goes_back_again_and_keeps_its_past() -> None:
    first = landed(copy(refusal(event(3))), 9)
    again = refusal(first)
    assert log(first).fates([refusal(event(3)), again]) == [Fate.REDRIVEN, Fate.SEND]
    second = landed(copy(again), 12)
    assert earlier(second.headers) == ["shop.events.v1/0@3", "shop.events.v1/0@9"]
    assert log(first, second).fates([refusal(event(3)), again]) == [Fate.REDRIVEN, Fate.REDRIVEN]


def test_the_catalogue_never_goes_back_in_time() -> None:
    old = FakeRecord(b"milk", b"}", 3, CATALOGUE)
    newer = FakeRecord(b"milk", b"{}", 5, CATALOGUE)
    other = FakeRecord(b"tea", b"{}", 6, CATALOGUE)
    assert log(newer, other).fates([refusal(old)]) == [Fate.SUPERSEDED]
    assert log(other).fates([refusal(old)]) == [Fate.SEND]
    assert log(other, begin=50).fates([refusal(old)]) == [Fate.SEND], "compaction takes nothing newer away"


def test_what_cannot_be_known_is_left_alone() -> None:
    assert log(begin=4).fates([refusal(event(3))]) == [Fate.SEND]
    assert log(begin=5).fates([refusal(event(3))]) == [Fate.FORGOTTEN]
    assert log(end=3).fates([refusal(event(3))]) == [Fate.FOREIGN], "of a topic of this name that is no more"
    strangers = [FakeRecord(b"x", b"x", 1, "other.events.v1"), FakeRecord(b"x", b"x", 1, TOPICS.profiles.name)]
    assert log().fates([refusal(stranger) for stranger in strangers]) == [Fate.FOREIGN, Fate.FOREIGN]


def test_a_letter_without_the_record_stays_where_it_is() -> None:
    output = without_content(dead_letter(TOPICS.dlq.name, Rejection(event(3), RejectReason.OVERSIZE, "large")))
    about = refused(FakeRecord(output.key, output.value, 0, output.topic, headers=list(output.headers)))
    assert about is not None
    assert (about.topic, about.offset, about.reason, about.key) == (EVENTS, 3, "oversize", None)
    assert log().fates([about]) == [Fate.LEFT_OUT]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["refuse", "run", "die"])), max_size=40))
def test_however_often_and_however_interrupted_each_letter_goes_back_once(history: list[tuple[int, str]]) -> None:
    written = [event(offset) for offset in range(10)]
    letters: list[Refused] = []
    for number, what in history:
        if what == "refuse":
            letters.append(refusal(written[number]))
            continue
        fates = log(*written).fates(letters)
        sending = [about for about, fate in zip(letters, fates, strict=True) if fate is Fate.SEND]
        for about in sending[: number if what == "die" else None]:
            written.append(landed(copy(about), len(written)))
    copies = [earlier(record.headers) for record in written if earlier(record.headers)]
    assert len({tuple(places) for places in copies}) == len(copies)
    assert all(len(places) == 1 for places in copies)
