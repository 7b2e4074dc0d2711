"""Every error that Upwell raises on purpose, as one tree.

UpwellError
├── ConfigError          a setting, an option or an installed extra is wrong or missing
├── BrokerError          no Kafka broker could be started, found or reached
├── ContractError        a topic, record or stored row is not what this version expects
└── DataError            a file the user named cannot be read as what it should be

`streams.engine` (StoreError, PublishError, TooLargeError) and the worker (WorkerError, StalledError) add their own
below the root.

Messages say what was got, what was wanted and what to do. They never carry personal data: no user ids,
no record values. `encoders` and `index` have their own small trees (they import nothing from here).
"""


class UpwellError(Exception):
    """Base of everything raised on purpose."""

    exit_code = 1


class ConfigError(UpwellError):
    """A setting, an option or an installed extra is wrong or missing."""

    exit_code = 2


class BrokerError(UpwellError):
    """No Kafka broker could be started, found or reached."""

    exit_code = 3


class ContractError(UpwellError):
    """A topic, record or stored row is not what this version expects."""

    exit_code = 4


class DataError(UpwellError):
    """A file the user named cannot be read as what it should be."""

    exit_code = 5


def unread(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read; nothing of what is in it, for it may hold a secret."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8 text"
