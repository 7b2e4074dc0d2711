"""The trace of a request (W3C Trace Context): what its client began goes on in the headers of the records it writes.

    client ─► traceparent, tracestate ─► span of the request ─► headers in Kafka ─► spans of the workers

There are spans with `UPWELL_TRACES` alone; without it what the client sent is handed on as it is.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

Context = tuple[tuple[str, bytes], ...]
"""Headers of a Kafka record: `traceparent`, and `tracestate` if there is one."""

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,80})?")
_STATE = re.compile(r"[ -~]{1,512}")


@dataclass(slots=True)
class Underway:
    """A request under way. `context` is for what it writes; `status` is what it is answered."""

    context: Context
    status: int = 200


Follow = Callable[[str, str, Context], AbstractContextManager[Underway]]
"""Gets method, route template, and the context that the client sent."""


def carried(headers: Mapping[str, str]) -> Context:
    """The trace context of a request; empty where it has none, or none that is sound."""
    parent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
    if not _PARENT.fullmatch(parent):
        return ()
    kept = (("tracestate", state.encode()),) if _STATE.fullmatch(state) else ()
    return (("traceparent", parent.encode()), *kept)


@contextlib.contextmanager
def untold(_method: str, _route: str, context: Context) -> Iterator[Underway]:
    """Follows a request without telling anybody."""
    yield Underway(context)
