"""What a database URL may contain, and what is said of one that is wrong."""

import ssl
from pathlib import Path

import asyncpg
import pytest
import trustme

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime import cli
from fuze_runtime.database import build_connect
from fuze_runtime.database_url import ParsedUrl
from fuze_runtime.settings import DatabaseSettings


async def connect(url: str, application_name: str = "fuze-test") -> asyncpg.Connection:
    settings = DatabaseSettings.model_validate({"database_url": url})
    opened = build_connect(
        settings, settings.database_url, application_name, connect_timeout=5, session={}
    )
    return await opened()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_a_url_names_the_driver_or_not(postgres: EmbeddedPostgres, scheme: str) -> None:
    rest = postgres.url("order").partition("://")[2]

    connection = await connect(f"{scheme}://{rest}?sslmode=prefer&connect_timeout=3")

    assert await connection.fetchval("SELECT current_user") == "fuze_order"
    await connection.close()


async def test_the_first_host_that_has_the_attributes_is_used(
    postgres: EmbeddedPostgres, unused_tcp_port: int
) -> None:
    url = postgres.url("order").replace("127.0.0.1", f"127.0.0.1:{unused_tcp_port},127.0.0.1")

    connection = await connect(f"{url}?target_session_attrs=read-write")

    assert await connection.fetchval("SELECT inet_server_port()") == postgres.port
    await connection.close()


@pytest.mark.parametrize(
    ("query", "name"), [("", "fuze-test"), ("?application_name=a%20b+c", "a b+c")]
)
async def test_the_application_name_of_a_url_comes_first(
    postgres: EmbeddedPostgres, query: str, name: str
) -> None:
    connection = await connect(postgres.url("order") + query)

    assert await connection.fetchval("SHOW application_name") == name
    await connection.close()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/d", "must begin with postgresql://"),
        ("postgresql://h/d?ssl=true", "unknown parameter ssl; known are application_name, "),
        ("postgresql://h/d?sslmode=on", "sslmode=on must be one of disable, allow, "),
        ("postgresql://h/d?target_session_attrs=rw", "target_session_attrs=rw must be one of any"),
        ("postgresql://h/d?connect_timeout=5s", "connect_timeout=5s must be a number of seconds"),
        ("postgresql://h/d?sslmode=verify-ca", "sslmode=verify-ca needs the file of your own CA"),
        ("postgresql://h/d?sslkey=/k", "sslkey needs sslcert"),
        ("postgresql://h/d?sslrootcert=/none", "sslrootcert=/none: No such file or directory"),
        ("postgresql://h/d?sslrootcert=/dev/null", "sslrootcert=/dev/null: no certificate"),
        ("postgresql://h/d?sslcert=/none", "sslcert=/none, sslkey=None: No such file"),
        ("postgresql:///d", "must be postgresql://user:password@host"),
        ("postgresql://h:99999/d", "must be postgresql://user:password@host"),
        ("postgresql://u:hun/ter2@h/d", "must be postgresql://user:password@host"),
        ("postgresql://u:hun@ter2@h/d", "must be postgresql://user:password@host"),
        ("postgresql://u:hun#ter2@h/d", "must be postgresql://user:password@host"),
        ("postgresql://u:hun[ter2@h/d", "must be postgresql://user:password@host"),
    ],
)
def test_a_wrong_url_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", url)

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(DatabaseSettings)

    assert str(ended.value).startswith(f"FUZE_DATABASE_URL: {problem}")
    assert not {"\n", "hun", "ter2"} & {
        part for part in ("\n", "hun", "ter2") if part in str(ended)
    }


def test_a_url_is_in_no_representation_of_the_settings() -> None:
    url = "postgresql://role:hunter2@host/database"

    settings = DatabaseSettings.model_validate({"database_url": url})

    assert "hunter2" not in f"{settings!r} {settings} {ParsedUrl.parse(url)!r}"
    assert "hunter2" not in settings.model_dump_json()


@pytest.mark.parametrize("mode", [None, "verify-full", "verify-ca", "require"])
def test_a_ca_that_is_named_is_used_and_verify_full_compares_the_name(
    tmp_path: Path, mode: str | None
) -> None:
    root = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(root)
    query = f"?sslrootcert={root}" + (f"&sslmode={mode}" if mode else "")

    context = ParsedUrl.parse(f"postgresql://h/d{query}").build_ssl("verify-full")

    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname == (mode in {None, "verify-full"})
    assert len(context.get_ca_certs()) == 1


def test_without_a_ca_require_encrypts_and_verify_full_takes_those_of_the_system() -> None:
    encrypted = ParsedUrl.parse("postgresql://h/d?sslmode=require").build_ssl("prefer")
    verified = ParsedUrl.parse("postgresql://h/d?sslrootcert=system").build_ssl("verify-full")

    assert isinstance(encrypted, ssl.SSLContext)
    assert encrypted.verify_mode == ssl.CERT_NONE
    assert isinstance(verified, ssl.SSLContext)
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_socket_has_no_tls() -> None:
    socket = ParsedUrl.parse("postgresql://role@/database?host=/run/postgresql")

    assert (socket.is_socket, socket.build_ssl("verify-full")) == (True, "disable")
