"""MySQL as in production: verified TLS, tokens for passwords, a replica for the directory."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from botocore.credentials import Credentials
from botocore.session import get_session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from servicekit.testing import FakeClock
from tests.users.test_store import make, noted
from tools.mysql import MySQLServer, find_server
from users_service import iam
from users_service.domain.users import Role
from users_service.errors import StoreUnavailableError
from users_service.store import DoctorFilter
from users_service.store_mysql import MySQLStore, open_store
from users_service.store_mysql.access import Access
from users_service.store_mysql.migrating import migrate
from users_service.store_mysql.replica import PAUSE_SECONDS

pytestmark = pytest.mark.mysql

_HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        certificate = self._certificate(self._name, self._key.public_key(), None)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, place: x509.GeneralName) -> dict[str, bytes]:
        """What a server at a place needs, by its options."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._certificate(name, key.public_key(), place)
        pem = serialization.Encoding.PEM
        form = serialization.PrivateFormat.PKCS8
        return {
            "ssl-ca": self.pem,
            "ssl-cert": certificate.public_bytes(pem),
            "ssl-key": key.private_bytes(pem, form, serialization.NoEncryption()),
        }

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, place: x509.GeneralName | None
    ) -> x509.Certificate:
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=place is None, path_length=None), critical=True)
        )
        if place is not None:
            names = x509.SubjectAlternativeName([place])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def secure_server(authority: Authority) -> Iterator[MySQLServer]:
    program = find_server()
    assert program is not None
    with MySQLServer(program, tls=authority.server(_HERE)) as server:
        yield server


@pytest.fixture
def bundle(authority: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.pem)
    return path


async def cipher(url: str, access: Access) -> str:
    """What a connection is encrypted with; empty for none."""
    async with open_store(url, pool_size=1, access=access) as store:
        rows = await store._database.fetch(text("SHOW STATUS LIKE 'Ssl_cipher'"))
        return str(rows[0].Value)


async def test_a_verified_connection_is_encrypted(secure_server: MySQLServer, bundle: Path) -> None:
    url = secure_server.url(secure_server.new_database())
    assert await cipher(url, Access(bundle)) != ""
    await migrate(url, access=Access(bundle))


async def test_a_server_of_another_authority_is_refused(
    secure_server: MySQLServer, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_bytes(Authority().pem)
    url = secure_server.url(secure_server.new_database())
    with pytest.raises(StoreUnavailableError) as refused:
        await cipher(url, Access(tmp_path / "other.pem"))
    assert "CERTIFICATE_VERIFY_FAILED" in reasons(refused.value)


async def test_a_server_of_another_name_is_refused(authority: Authority, bundle: Path) -> None:
    program = find_server()
    assert program is not None
    with (
        MySQLServer(program, tls=authority.server(x509.DNSName("other.example"))) as server,
        pytest.raises(StoreUnavailableError) as refused,
    ):
        await cipher(server.url(server.new_database()), Access(bundle))
    assert "not valid for '127.0.0.1'" in reasons(refused.value)


async def test_a_server_without_tls_is_given_no_password(
    mysql_server: MySQLServer, bundle: Path
) -> None:
    url = mysql_server.url(mysql_server.new_database())
    assert await cipher(url, Access()) == ""
    with pytest.raises(StoreUnavailableError) as refused:
        await cipher(url, Access(bundle))
    assert "offers no TLS" in reasons(refused.value)


def reasons(error: BaseException) -> str:
    """All that led to an error."""
    found: BaseException | None = error
    texts = []
    while found is not None:
        texts.append(str(found))
        found = found.__cause__ or found.__context__
    return "\n".join(texts)


async def test_each_connection_asks_for_a_password_of_its_own(
    secure_server: MySQLServer, bundle: Path
) -> None:
    asked: list[tuple[str, int, str]] = []

    async def passing(host: str, port: int, user: str) -> str:
        """One that is good until the next is given."""
        asked.append((host, port, user))
        token = f"token {len(asked)}"
        with closing(admin(secure_server)) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{token}'")
        return token

    url = f"mysql+aiomysql://passing@127.0.0.1:{secure_server.port}"
    for _ in range(3):
        assert await cipher(url, Access(bundle, passing)) != ""
    assert asked == [("127.0.0.1", secure_server.port, "passing")] * 3


def admin(server: MySQLServer) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(
        host=server.host, port=server.port or 0, user=server.user, password=server.password
    )


def test_passwords_are_given_over_tls_only() -> None:
    with pytest.raises(ValueError, match="need verified TLS"):
        Access(None, iam.rds_passwords("eu-central-1"))


async def test_tokens_are_the_ones_that_botocore_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a session/with+signs")
    host, port, user = "db.example", 3306, "users service"
    client = get_session().create_client("rds", region_name="eu-central-1")
    passwords = iam.rds_passwords("eu-central-1")
    while True:
        before, ours, after = (
            client.generate_db_auth_token(host, port, user),
            await passwords(host, port, user),
            client.generate_db_auth_token(host, port, user),
        )
        if before == after:  # all in one second, which they are signed for
            break
    assert ours == before


async def test_without_credentials_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreUnavailableError, match="no AWS credentials"):
        await iam.rds_passwords("eu-central-1")("db.example", 3306, "users")


async def test_only_the_list_of_doctors_is_the_replicas(
    mysql_server: MySQLServer, mysql_url: str, clock: FakeClock
) -> None:
    """The replica has another doctor, as one that lags has."""
    read_url = mysql_server.url(mysql_server.new_database())
    await migrate(read_url)
    here = make(clock, role=Role.DOCTOR, full_name="Here")
    there = make(clock, role=Role.DOCTOR, full_name="There")
    async with (
        open_store(mysql_url, pool_size=1) as primary,
        open_store(read_url, pool_size=1) as replica,
        open_store(mysql_url, pool_size=1, read_url=read_url) as both,
    ):
        await primary.add_user(here, "hash", noted(clock))
        await replica.add_user(there, "hash", noted(clock))
        assert await names(both) == ["There"]
        assert await both.doctor(here.id) is not None
        assert await both.doctor(there.id) is None
        assert await both.credentials(here.email) is not None
        assert await both.credentials(there.email) is None
        assert await both.user(there.id) is None


async def test_without_its_replica_the_list_is_the_primarys(
    mysql_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_server()
    assert program is not None
    with MySQLServer(program) as server:
        read_url = server.url(server.new_database())
        await migrate(read_url)
        async with open_store(mysql_url, pool_size=1, read_url=read_url) as store:
            monkeypatch.setattr(store, "_monotonic", clock.timestamp)
            await store.add_user(
                make(clock, role=Role.DOCTOR, full_name="Here"), "hash", noted(clock)
            )
            assert await names(store) == []
            server.stop()
            assert await names(store) == ["Here"]
            server.start()
            assert await names(store) == ["Here"]  # not asked again so soon
            clock.advance(datetime.timedelta(seconds=PAUSE_SECONDS))
            assert await names(store) == []


async def names(store: MySQLStore) -> list[str]:
    return [doctor.full_name for doctor in await store.doctors(DoctorFilter(), "", 10)]


def test_credentials_without_a_session_sign_as_well() -> None:
    frozen = Credentials("AKIDEXAMPLE", "a secret").get_frozen_credentials()
    token = iam.token(frozen, "eu-central-1", "db.example", 3306, "users")
    assert token.startswith("db.example:3306/?Action=connect&DBUser=users&X-Amz-Algorithm=")
    assert "X-Amz-Expires=900" in token
