"""API keys and what they reach: every address with no key, a wrong one, one of too little scope; files, TLS, hosts."""

import ssl
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams import cli
from streams.errors import ConfigError
from streams.settings import ApiSettings
from streams.web import keys, page, reloading
from streams.web.keys import Keyring, Scope, new, parse
from streams.web.routes import ROUTES
from streams.web.securing import Secured, secured
from streams.web.tokens import Tokens
from tests.unit.http_shop import HttpShop
from tests.unit.issuer import WANTED, Issuer

GUARDED = [(route.method, route.path, route.scope) for route in ROUTES] + [("GET", "/metrics", Scope.METRICS)]
GUARDED.append(("GET", "/v1/stream", Scope.ADMIN))
OPEN = {("GET", path) for path in ("/livez", "/readyz", "/openapi.json", *(route.path for route in page.routes()))}


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


class Keys:
    """A key for each scope, and their file."""

    def __init__(self, path: Path) -> None:
        made = {scope: new(scope.value, [scope]) for scope in Scope}
        self.path = path
        path.write_text("# made by a test\n\n" + "".join(f"{line}\n" for _, line in made.values()))
        self.of = {scope: key for scope, (key, _) in made.items()}

    def header(self, scope: Scope) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.of[scope]}"}


class Signed:
    """A token for each scope, and the file of the key that they are checked with."""

    def __init__(self, path: Path) -> None:
        issuer = Issuer()
        path.write_text(issuer.jwks())
        self.tokens = Tokens(path, WANTED)
        self.of = {scope: issuer.token(scope=scope.value) for scope in Scope}

    def header(self, scope: Scope) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.of[scope]}"}


@pytest.fixture
def made(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.txt")


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path / "jwks.json")


@pytest.mark.parametrize("kind", ["key", "token"])
@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
async def test_each_address_wants_its_scope(
    shop: HttpShop, made: Keys, signed: Signed, method: str, path: str, scope: Scope, kind: str
) -> None:
    address = path.replace("{id}", "milk")
    holder: Keys | Signed = made if kind == "key" else signed
    wrong = "upwell_wrong" if kind == "key" else f"{signed.of[scope][:-4]}AAAA"
    async with shop.client(Keyring(made.path), signed.tokens) as http:

        async def status(headers: dict[str, str]) -> int:
            async with http.request(method, address, headers=headers) as response:
                if response.status == 401:
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
                return response.status

        assert await status({}) == 401
        assert await status({"Authorization": f"Bearer {wrong}"}) == 401
        assert await status({"Authorization": "Bearer "}) == 401
        assert await status({"Authorization": f"Basic {holder.of[scope]}"}) == 401
        assert {await status(holder.header(other)) for other in set(Scope) - {scope}} == {403}
        assert shop.log.written == []
        assert await status(holder.header(scope)) not in (401, 403, 500)


async def test_a_kind_that_is_not_set_up_is_not_taken(shop: HttpShop, made: Keys, signed: Signed) -> None:
    for taken, keyring, tokens in ((made, Keyring(made.path), None), (signed, None, signed.tokens)):
        async with shop.client(keyring, tokens) as http:
            for holder in (made, signed):
                async with http.get("/v1/trending", headers=holder.header(Scope.QUERY)) as response:
                    assert response.status == (200 if holder is taken else 401)


async def test_every_address_is_in_the_table(shop: HttpShop) -> None:
    async with shop.client() as http:
        assert http.app is not None
        served = {(route.method, getattr(route.resource, "canonical", "")) for route in http.app.router.routes()}
    assert served == {(method, path) for method, path, _ in GUARDED} | OPEN


async def test_the_probes_need_no_key(shop: HttpShop, made: Keys) -> None:
    async with shop.client(Keyring(made.path)) as http:
        for _, path in OPEN:
            async with http.get(path) as response:
                assert response.status == 200


async def test_a_key_that_asks_too_often_is_told_to_wait(shop: HttpShop, made: Keys) -> None:
    async with shop.client(Keyring(made.path), rate=0.5, burst=2) as http:
        for expected in (200, 200, 429):
            async with http.get("/v1/trending", headers=made.header(Scope.QUERY)) as response:
                assert response.status == expected
        assert response.headers["Retry-After"] == "2"
        async with http.get("/metrics", headers=made.header(Scope.METRICS)) as response:
            assert response.status == 200


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("[::1]:1", 200), ("evil.example", 403), ("", 403)])
async def test_without_keys_only_local_names_are_answered(shop: HttpShop, host: str, status: int) -> None:
    async with shop.client() as http, http.get("/v1/trending", headers={"Host": host}) as response:
        assert response.status == status


def test_a_key_is_long_random_and_not_in_its_line() -> None:
    (key, line), (other, _) = new("a", [Scope.QUERY]), new("a", [Scope.QUERY])
    assert key != other
    assert len(key) == len(keys.PREFIX) + 43  # 256 bits in base64
    assert key.removeprefix(keys.PREFIX) not in line
    assert [(found.name, found.scopes) for found in parse(line)] == [("a", {Scope.QUERY})]


@pytest.mark.parametrize(
    "line",
    ["name", "name query", "name query sha256:12", "na/me query sha256:" + "0" * 64, "name root sha256:" + "0" * 64],
)
def test_a_wrong_line_is_named_not_shown(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2 of the API keys file") as caught:
        parse(f"# keys\n{line}")
    assert "0000" not in str(caught.value)


def test_two_lines_of_one_name_are_refused() -> None:
    _, line = new("a", [Scope.QUERY])
    with pytest.raises(ConfigError, match=r"line 2 .* has the name"):
        parse(f"{line}\n{line}")


def test_a_file_that_others_may_write_is_refused(made: Keys) -> None:
    made.path.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        Keyring(made.path)


@pytest.mark.parametrize("text", [None, "# nothing\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "keys.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="UPWELL_API_KEYS_FILE"):
        Keyring(path)


@pytest.fixture
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "RELOAD_S", 0.0)


@pytest.mark.usefixtures("looking_always")
def test_keys_are_added_and_taken_back_while_it_runs(made: Keys) -> None:
    ring = Keyring(made.path)
    assert ring.find(made.of[Scope.QUERY])
    fresh, line = new("fresh", [Scope.ADMIN])
    assert ring.find(fresh) is None
    made.path.write_text(line)
    found = ring.find(fresh)
    assert found is not None
    assert found.name == "fresh"
    assert ring.find(made.of[Scope.QUERY]) is None
    made.path.write_text("half a li")
    assert ring.find(fresh)  # a broken file changes nothing


def test_the_command_prints_the_key_once_and_its_line_apart() -> None:
    done = CliRunner().invoke(cli.main, ["keys", "new", "website", "--scopes", "query,ingest"])
    (found,) = parse(done.stderr)
    assert (found.name, found.scopes) == ("website", {Scope.QUERY, Scope.INGEST})
    assert done.stdout.startswith(keys.PREFIX)
    refused = CliRunner().invoke(cli.main, ["keys", "new", "website", "--scopes", "root"])
    assert (refused.exit_code, "choose from query, ingest, admin, metrics" in refused.stderr) == (2, True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", home / "key", "-out", home / "cert"], check=True, capture_output=True)
    return home / "cert", home / "key"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "shop.example"])
def test_beyond_loopback_keys_and_tls_are_wanted(made: Keys, certificate: tuple[Path, Path], host: str) -> None:
    with pytest.raises(ConfigError, match="upwell keys new"):
        secured(ApiSettings(host=host))
    with pytest.raises(ConfigError, match="in the clear"):
        secured(ApiSettings(host=host, keys_file=made.path))
    assert secured(ApiSettings(host=host, keys_file=made.path, tls_elsewhere=True)).tls is None
    tls = {"certfile": certificate[0], "keyfile": certificate[1]}
    context = secured(ApiSettings(host=host, keys_file=made.path, **tls)).tls
    assert isinstance(context, ssl.SSLContext)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_nothing_is_wanted(host: str) -> None:
    assert secured(ApiSettings(host=host)) == Secured()


def test_a_certificate_needs_its_key(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set both"):
        secured(ApiSettings(certfile=certificate[0]))
    with pytest.raises(ConfigError, match="cannot be used"):
        secured(ApiSettings(certfile=certificate[0], keyfile=tmp_path / "none"))
