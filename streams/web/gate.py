"""Who may do what: API keys and tokens with scopes, or, without either, whoever is on this machine."""

import time

from aiohttp import web

from streams.web.admission import Buckets
from streams.web.keys import Key, Keyring, Scope
from streams.web.problems import Kind, Problem, retry_after
from streams.web.tokens import Tokens

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="upwell"'}
_REFUSED = {"WWW-Authenticate": 'Bearer realm="upwell", error="invalid_token"'}
_ANYBODY = "loopback"

_PARTS = 2
"""Dots of a token; a key has none."""


class Gate:
    """Lets requests in.

    Without keys and tokens the server listens on loopback alone, and everybody there may do everything. A web page
    that is open on this machine is not meant by that: one that made its own name resolve to 127.0.0.1 (DNS rebinding)
    gives itself away by the Host header, and other pages cannot send the content types that bodies must have without
    being asked first.

    Args:
        keyring: the keys; None where there are none.
        tokens: looks at tokens; None where none are taken.
        buckets: how often each holder may ask.
    """

    def __init__(self, keyring: Keyring | None, tokens: Tokens | None, buckets: Buckets) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._buckets = buckets

    def let_in(self, request: web.Request, scope: Scope) -> None:
        """Look at a request.

        Raises:
            Problem: it has no key, a wrong one, one without the scope, or one that asks too often.
        """
        holder = _ANYBODY
        if self._keyring is None and self._tokens is None:
            _require_local_name(request)
        else:
            holder = self._holder(request, scope)
        wait = self._buckets.take(holder, time.monotonic())
        if wait:
            raise retry_after(Kind.RATE, "more requests with this key than it may make: slow down", wait)

    def _holder(self, request: web.Request, scope: Scope) -> str:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Problem(
                Kind.UNAUTHENTICATED,
                "send the header `Authorization: Bearer KEY` (or a token)",
                _CHALLENGE,
            )
        key = self._known(given.strip())
        if key is None:
            raise Problem(Kind.UNAUTHENTICATED, "this key or token is not known, or has run out", _REFUSED)
        if scope not in key.scopes:
            raise Problem(Kind.FORBIDDEN, f"this key or token has not the scope `{scope.value}`")
        return key.name

    def _known(self, given: str) -> Key | None:
        if given.count(".") == _PARTS:
            return self._tokens.find(given) if self._tokens else None
        return self._keyring.find(given) if self._keyring else None


def _require_local_name(request: web.Request) -> None:
    host = request.headers.get("Host", "")
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if name.lower() not in LOOPBACK_NAMES:
        raise Problem(Kind.FORBIDDEN, "without API keys only requests to localhost are answered")
