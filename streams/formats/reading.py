"""Which format a record is in, and its value as JSON.

With `auto` the record tells, and cannot be mistaken: no JSON text begins with byte 0, which is how Avro values of a
registry begin, and CloudEvents name themselves in headers. Any other setting takes records in that one format alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from streams.engine.effects import Record
from streams.formats import avro, cloudevents
from streams.formats.base import Fault, Format, FormatError
from streams.formats.cloudevents import Attribute
from streams.formats.registry import Registry


class Subject(StrEnum):
    """What the records of a topic are. The values are those of the settings."""

    EVENTS = "events"
    CATALOGUE = "catalogue"
    QUESTIONS = "questions"


FILLS: Mapping[Subject, Sequence[Attribute]] = {
    Subject.EVENTS: (Attribute.ID, Attribute.TYPE, Attribute.TIME),
    Subject.CATALOGUE: (),
    Subject.QUESTIONS: (Attribute.ID, Attribute.TIME),
}
"""What attributes of a CloudEvent say where its data does not. An item is not the event that tells of it."""


@dataclass(frozen=True, slots=True)
class Formats:
    """How the topics that a shop writes are read. `registry` is None where there is none."""

    formats: Mapping[Subject, Format] = field(default_factory=dict)
    registry: Registry | None = None

    def json(self, record: Record, subject: Subject) -> bytes:
        """The value of a record, which has one, as JSON. What it says is checked by nobody yet.

        Raises:
            FormatError: it is in none of the formats that are read, or not as its format wants it.
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: an envelope is not JSON.
        """
        value = record.value or b""
        wanted = self.formats.get(subject, Format.AUTO)
        if wanted is Format.JSON or (wanted is Format.AUTO and not record.headers and value[:1] != b"\0"):
            return value
        if wanted is not Format.AVRO:
            headers = cloudevents.headers_of(record.headers)
            if "ce_specversion" in headers:
                return self._binary(value, headers, subject)
            content_type = headers.get("content-type", b"").decode("latin-1").strip().lower()
            if content_type.startswith(cloudevents.STRUCTURED):
                return cloudevents.structured(value, content_type, FILLS[subject])
            if wanted is Format.CLOUDEVENTS:
                raise FormatError(
                    Fault.UNDECODABLE, "no CloudEvent: wanted the header `ce_specversion` or an envelope, named as such"
                )
        if value[:1] == b"\0":
            return self._avro(value)
        if wanted is Format.AVRO:
            raise FormatError(Fault.UNDECODABLE, "no Avro value of a schema registry: it does not begin with byte 0")
        return value

    async def learn(self, records: Iterable[Record]) -> None:
        """Have the schemas of some records at hand before they are read.

        Raises:
            RegistryError: the registry does not answer.
        """
        if self.registry is not None:
            await self.registry.learn(_schemas(records))

    async def learn_patiently(self, records: Iterable[Record]) -> None:
        """The same, waiting until the registry answers."""
        if self.registry is not None:
            await self.registry.learn_patiently(_schemas(records))

    def _binary(self, value: bytes, headers: Mapping[str, bytes], subject: Subject) -> bytes:
        if value[:1] == b"\0":
            value = self._avro(value)
        elif "content-type" in headers:
            cloudevents.insist_on_json(headers["content-type"].decode("latin-1"))
        return cloudevents.binary(value, headers, FILLS[subject])

    def _avro(self, value: bytes) -> bytes:
        if self.registry is None:
            raise FormatError(
                Fault.UNDECODABLE, "it begins with byte 0, as Avro values of a registry do: set UPWELL_REGISTRY_URL"
            )
        schema = avro.schema_id(value)
        if schema is None:
            raise FormatError(Fault.UNDECODABLE, "it begins with byte 0 and ends before a schema id")
        return self.registry.reader(schema)(value[avro.HEAD :])


def _schemas(records: Iterable[Record]) -> set[int]:
    found = {avro.schema_id(record.value) for record in records if record.value}
    return {schema for schema in found if schema is not None}
