"""What the role `answers` has beside the replica: a copy of the profiles, an encoder of texts, the templates.

    questions ─► handler ─► answerer ─► lexicon, index, item facts (replica) ─► answers
                               ├─► profiles (copy in UPWELL_DATA_DIR/answers)
                               └─► encoder of the model that serves

It keeps no state of its own: any number of workers may have the role, and it may be given to none.
"""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from streams import policies
from streams.agents.answers import AnswersHandler
from streams.answering import Answerer
from streams.core.answers.lexicon import Lexicon
from streams.edge import Limits
from streams.engine.app import Role
from streams.profile_replica import ProfileReplication
from streams.replicas import Replica
from streams.serving import LoadEncoder, Serving, TextSearch
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from streams.wording import Wording

NAME = "answers"
TOGETHER = 64
"""Questions that are answered together, before the next ones are taken."""


class Helpdesk:
    """Makes the role. To be made before anything is read, so that what is wrong with templates is told first.

    Args:
        settings: of the worker.
        replica: empty yet; it keeps a lexicon from now on.

    Raises:
        ConfigError: a template does not work.
    """

    def __init__(self, settings: Settings, replica: Replica) -> None:
        self._settings = settings
        self._wording = Wording(settings.answer_templates)
        self._replica = replica
        replica.lexicon = Lexicon()

    async def role(
        self,
        contract: Topics,
        limits: Limits,
        load: LoadEncoder,
        where: tuple[str, KafkaSettings],
        stack: contextlib.AsyncExitStack,
        run: Callable[[str, Coroutine[Any, Any, None]], object],
    ) -> Role:
        """Read the profiles and load the encoder; what is opened is closed with the stack.

        Args:
            contract: the topics.
            limits: what the edge lets through.
            load: gets a model.
            where: host:port of the brokers, and how to talk to them.
            stack: of the worker.
            run: runs, in the background, what keeps it current.

        Raises:
            StoreLockedError: another process has this data directory.
            EncoderError: the model cannot be loaded.
        """
        settings = self._settings
        profiles = ProfileReplication(
            settings.data_dir / NAME / "profiles",
            settings.rocksdb_cache_mb,
            contract.profiles,
            *where,
            settings.fetch_wait_ms,
        )
        stack.push_async_callback(profiles.stop)
        await profiles.load()
        run("profiles copy", profiles.follow())
        search = TextSearch(load, self._replica)
        await search.begin()
        run("text encoder", search.follow())
        serving = Serving(self._replica, lambda: profiles.replica, policies.of(settings), contract)
        answerer = Answerer(serving, search, self._wording, repeats=limits.pseudonyms is None)
        handler = AnswersHandler(contract, answerer.answer, limits)
        return Role(NAME, contract.questions, (), contract.dlq, handler, max_records=TOGETHER)
