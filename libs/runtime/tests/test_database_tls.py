"""TLS between a worker, or a migration, and PostgreSQL."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest
import sqlalchemy as sa
import trustme

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime import migrations
from fuze_runtime.database import create_engine
from fuze_runtime.settings import DatabaseSettings, MigrationSettings
from fuze_testing.tls import serve_tls


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def roots(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The CA of the server, and another one."""
    folder = tmp_path_factory.mktemp("ca")
    ca.cert_pem.write_to_path(folder / "right.pem")
    trustme.CA().cert_pem.write_to_path(folder / "wrong.pem")
    return {name: folder / f"{name}.pem" for name in ("right", "wrong")}


@pytest.fixture
async def port(postgres: EmbeddedPostgres, ca: trustme.CA) -> AsyncIterator[int]:
    """The port of a server with a certificate for `localhost`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    async with serve_tls(postgres.port, context) as port:
        yield port


async def select_one(url: str, environment: str) -> int | None:
    settings = DatabaseSettings.model_validate({"database_url": url, "environment": environment})
    engine = create_engine(settings, "fuze-test")
    try:
        async with engine.connect() as connection:
            return await connection.scalar(sa.text("SELECT 1"))
    finally:
        await engine.dispose()


async def test_a_worker_verifies_the_server_outside_local(
    postgres: EmbeddedPostgres, port: int, roots: dict[str, Path]
) -> None:
    url = postgres.url("order", port).replace("127.0.0.1", "localhost")

    assert await select_one(f"{url}?sslrootcert={roots['right']}", "production") == 1
    for untrusted in (
        f"{url}?sslrootcert={roots['wrong']}",
        url,  # the CAs of the system
        f"{url.replace('localhost', '127.0.0.1')}?sslrootcert={roots['right']}",  # another name
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await select_one(untrusted, "production")


@pytest.mark.parametrize("mode", ["verify-ca", "require"])
async def test_a_weaker_mode_does_not_compare_the_name(
    postgres: EmbeddedPostgres, port: int, roots: dict[str, Path], mode: str
) -> None:
    url = f"{postgres.url('order', port)}?sslmode={mode}&sslrootcert={roots['right']}"

    assert await select_one(url, "local") == 1


async def test_a_server_without_tls_is_refused_outside_local(postgres: EmbeddedPostgres) -> None:
    assert await select_one(postgres.url("order"), "local") == 1
    with pytest.raises(ConnectionError, match="rejected SSL"):
        await select_one(postgres.url("order"), "production")


async def test_a_migration_verifies_the_server_and_does_not_retry_a_wrong_certificate(
    postgres: EmbeddedPostgres, port: int, roots: dict[str, Path]
) -> None:
    url = postgres.url("order_migrator", port).replace("127.0.0.1", "localhost")

    def settings(root: str) -> MigrationSettings:
        return MigrationSettings.model_validate(
            {
                "migration_database_url": f"{url}?sslrootcert={roots[root]}",
                "environment": "production",
            }
        )

    await asyncio.to_thread(migrations.upgrade, settings("right"), "fuze_order")
    started_at = monotonic()
    with pytest.raises(migrations.UntrustedServerError, match="sslrootcert"):
        await asyncio.to_thread(migrations.upgrade, settings("wrong"), "fuze_order")
    assert monotonic() - started_at < 30
