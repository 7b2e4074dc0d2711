"""What formats have in common: their names, and why a record cannot be read."""

from enum import StrEnum


class Format(StrEnum):
    """How the values of a topic are written."""

    AUTO = "auto"
    JSON = "json"
    AVRO = "avro"
    CLOUDEVENTS = "cloudevents"


class Fault(StrEnum):
    """What is wrong with a value. The names are those of `streams.engine.effects.RejectReason`."""

    UNDECODABLE = "undecodable"
    INVALID = "invalid"
    UNKNOWN_SCHEMA = "unknown-schema"


class FormatError(ValueError):
    """A value cannot be turned into JSON. The message holds nothing of the value."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
