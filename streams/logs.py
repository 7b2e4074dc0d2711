"""Logging: one structured line per event, to standard error.

Field values are names of parts, counts and reasons, never what a shopper did or who they are. Whatever is logged all
the same, here or in a library, goes through `streams.redaction` last. Lines are JSON, unless a person is at a terminal.
"""

import logging
import sys

import structlog

from streams.redaction import kinds_and_places, redact
from streams.repeats import Repeats


def configure(level: str) -> None:
    """Set up structlog and the standard library's loggers of the libraries underneath.

    Args:
        level: DEBUG, INFO, WARNING or ERROR; libraries are held to WARNING.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        kinds_and_places,
        redact,
    ]
    human = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    own = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(own(processors=[own.remove_processors_meta, renderer], foreign_pre_chain=shared))
    handler.addFilter(Repeats())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # These know no structlog: they stand alone, or run in commands that say nothing but their result.
    for plain in ("encoders", "streams.agents"):
        logging.getLogger(plain).setLevel(number)
    # Faust's services log their comings and goings under the module that subclasses them.
    for chatty in ("faust", "mode", "aiokafka", "streams.engine"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))
