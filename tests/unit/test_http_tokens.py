"""JSON Web Tokens: what is taken, and the many ways in which one is not."""

import base64
import dataclasses
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from streams.errors import ConfigError
from streams.settings import ApiSettings
from streams.web import reloading
from streams.web.keys import Scope
from streams.web.securing import secured
from streams.web.tokens import LEEWAY_S, Tokens, Wanted
from tests.unit.issuer import WANTED, Issuer


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def path(tmp_path: Path, issuer: Issuer) -> Path:
    file = tmp_path / "jwks.json"
    file.write_text(issuer.jwks(Issuer("two").jwk()))
    return file


@pytest.fixture
def tokens(path: Path) -> Tokens:
    return Tokens(path, WANTED)


def scopes(tokens: Tokens, token: str) -> set[Scope] | None:
    found = tokens.find(token)
    return None if found is None else set(found.scopes)


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        ("query", {"query"}),
        ("openid query  ingest", {"query", "ingest"}),
        (["admin", 7, "metrics"], {"admin", "metrics"}),
        ("QUERY root", set()),
        (None, set()),
        ({"query": True}, set()),
    ],
)
def test_scopes_are_words_of_a_claim(tokens: Tokens, issuer: Issuer, claim: Any, wanted: set[str]) -> None:
    assert scopes(tokens, issuer.token(scope=claim)) == {Scope(scope) for scope in wanted}


def test_the_claim_and_the_issuer_are_as_set(path: Path, issuer: Issuer) -> None:
    tokens = Tokens(path, Wanted(("ES256",), WANTED.audience, None, "scp"))
    assert scopes(tokens, issuer.token(scp=["ingest"], iss="https://anybody.example")) == {Scope.INGEST}


def test_rates_count_by_client(tokens: Tokens, issuer: Issuer) -> None:
    names = [{"client_id": "app"}, {"azp": "spa"}, {}]
    found = [tokens.find(issuer.token(**name)) for name in names]
    assert [key.name for key in found if key] == ["token app", "token spa", "token website"]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": int(time.time()) - LEEWAY_S - 60},
        {"nbf": 2**33},
        {"headers": {"kid": "three"}},
        {"headers": {"kid": "two"}},
        {"headers": {}},
    ],
)
def test_what_is_not_for_us_now_and_by_ours_is_not_taken(
    tokens: Tokens, issuer: Issuer, changes: dict[str, Any]
) -> None:
    assert tokens.find(issuer.token(**changes)) is None


def test_several_audiences_may_be_named(tokens: Tokens, issuer: Issuer) -> None:
    assert tokens.find(issuer.token(aud=["https://another.example", WANTED.audience]))


def test_nobody_elses_signature_is_taken(tokens: Tokens, issuer: Issuer) -> None:
    assert tokens.find(Issuer().token()) is None
    good = issuer.token()
    head, body, signature = good.split(".")
    more = json.loads(base64.urlsafe_b64decode(body + "=="))
    more["scope"] = "admin"
    forged = base64.urlsafe_b64encode(json.dumps(more).encode()).rstrip(b"=").decode()
    assert tokens.find(f"{head}.{forged}.{signature}") is None
    for token in ("", "..", "a.b.c", f"{head}.{body}.", f"{head}.{body}.\ud800", f"{head}..{signature}", "é.é.é"):
        assert tokens.find(token) is None


def unsigned(algorithm: str, secret: bytes = b"") -> str:
    """A token as somebody makes it who only has the public key."""
    claims = {"aud": WANTED.audience, "iss": WANTED.issuer, "exp": int(time.time()) + 300, "scope": "admin"}

    def part(of: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()

    said = f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': 'one'})}.{part(claims)}"
    digest = hmac.digest(secret, said.encode(), hashlib.sha256) if secret else b""
    return f"{said}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_the_token_does_not_choose_the_algorithm(tmp_path: Path, issuer: Issuer) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(issuer.pem())
    tokens = Tokens(file, WANTED)
    assert tokens.find(issuer.token())
    assert tokens.find(issuer.token(headers={}))
    for forged in (unsigned("none"), unsigned("HS256", issuer.pem()), unsigned("ES256", issuer.pem())):
        assert tokens.find(forged) is None
    key = rsa.generate_private_key(65537, 2048)
    file.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    claims = {"aud": WANTED.audience, "iss": WANTED.issuer, "exp": int(time.time()) + 300}
    by_rsa = jwt.encode(claims, key, "RS256")
    assert Tokens(file, WANTED).find(by_rsa) is None
    assert Tokens(file, dataclasses.replace(WANTED, algorithms=("RS256",))).find(by_rsa)


def test_keys_are_renewed_while_it_runs(
    path: Path, tokens: Tokens, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "RELOAD_S", 0.0)
    fresh = Issuer("three")
    assert tokens.find(fresh.token()) is None
    path.write_text(fresh.jwks())
    assert tokens.find(fresh.token())
    assert tokens.find(issuer.token()) is None
    path.write_text("{")
    assert tokens.find(fresh.token())  # a broken file changes nothing


def test_wrong_settings_are_told(tmp_path: Path, path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(text: str | None, **changes: Any) -> str:
        file = tmp_path / "given"
        if text is not None:
            file.write_text(text)
        settings = {"jwt_keys_file": file if text is not None else tmp_path / "none", "jwt_audience": "us", **changes}
        with pytest.raises(ConfigError) as caught:
            secured(ApiSettings(**settings))
        return str(caught.value)

    assert "UPWELL_API_JWT_AUDIENCE is not set" in said(issuer.jwks(), jwt_audience=None)
    for algorithms in ("none", "HS256", "", "ES256,HS256"):
        assert "choose from ES256" in said(issuer.jwks(), jwt_algorithms=algorithms)
    for text in ("", "{", "{}", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "[1]", "not PEM"):
        assert "neither a JSON Web Key Set nor a public key" in said(text)
    secret = jwt.get_algorithm_by_name("HS256").to_jwk(b"s" * 32, as_dict=True)
    private = jwt.get_algorithm_by_name("ES256").to_jwk(issuer.key, as_dict=True)
    for key in (secret, private):
        assert "holds a secret or a private key" in said(json.dumps({"keys": [key]}))
    pem = issuer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert "neither a JSON Web Key Set nor a public key" in said(pem.decode())
    assert "cannot be read" in said(None)
    path.chmod(0o666)
    assert "chmod go-w" in said(None, jwt_keys_file=path)
    monkeypatch.setitem(sys.modules, "jwt", None)
    assert "pip install 'upwell[jwt]'" in said(issuer.jwks())


def test_tokens_alone_let_it_listen_elsewhere(path: Path) -> None:
    found = secured(ApiSettings(host="0.0.0.0", tls_elsewhere=True, jwt_keys_file=path, jwt_audience="us"))
    assert (found.keyring, found.tokens is None) == (None, False)
