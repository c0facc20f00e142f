"""The gateway's connections through TLS and through PgBouncer."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.database import Database, Statement
from fuze_gateway.upstreams import UpstreamUnavailableError
from fuze_runtime.settings import DatabaseSettings
from fuze_testing.pgbouncer import needs_pgbouncer, serve_pgbouncer
from fuze_testing.tls import serve_tls

_SHAPES = [
    Statement.compile(sa.text(f"SELECT {columns}, '{{\"a\": 1}}'::jsonb AS json, pg_sleep(0.001)"))
    for columns in (":value AS value", ":value AS value, 1 AS one", ":value AS value, 2 AS two")
]
_TIMEOUT = Statement.compile(sa.text("SELECT current_setting('statement_timeout') AS value"))


@asynccontextmanager
async def connected(url: str, **settings: object) -> AsyncIterator[Database]:
    pool = Database(
        DatabaseSettings.model_validate({"database_url": url, **settings}),
        "fuze-gateway-tests",
        timedelta(seconds=10),
    )
    yield pool
    await pool.aclose()


async def use(pool: Database) -> None:
    """Execute statements of several shapes on several connections at once, and a transaction."""
    for _ in range(3):
        found = await asyncio.gather(
            *(pool.fetch(_SHAPES[number % 3], value=str(number)) for number in range(12))
        )
        assert [(row["value"], row["json"]) for [row] in found] == [
            (str(number), {"a": 1}) for number in range(12)
        ]
    async with pool.transaction() as transaction:
        for shape in _SHAPES:
            await transaction.fetch(shape, value="1")


async def test_the_gateway_verifies_the_server_outside_local(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "right.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "wrong.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    async with serve_tls(postgres.port, context) as port:
        url = postgres.url("gateway", port).replace("127.0.0.1", "localhost")
        right, wrong = (f"{url}?sslrootcert={tmp_path / name}.pem" for name in ("right", "wrong"))

        async with connected(right, environment="production") as pool:
            await use(pool)
        async with connected(wrong, environment="production") as pool:
            with pytest.raises(UpstreamUnavailableError):
                await use(pool)


@needs_pgbouncer
async def test_the_gateway_works_behind_a_pooler_in_session_mode(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("gateway"), "session", pool_size=10) as url:
        async with connected(url) as pool:
            await use(pool)
            [row] = await pool.fetch(_TIMEOUT)

    assert row["value"] == "9750ms"


@needs_pgbouncer
async def test_the_gateway_works_behind_a_pooler_in_transaction_mode_with_its_setting(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("gateway"), "transaction", pool_size=2) as url:
        async with (
            connected(url, database_transaction_pooling=True) as pool,
            connected(url, database_transaction_pooling=True) as other,
        ):
            await asyncio.gather(use(pool), use(other))


@needs_pgbouncer
async def test_a_pooler_in_transaction_mode_without_its_setting_is_logged_with_it(
    postgres: EmbeddedPostgres, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("gateway"), "transaction", pool_size=2) as url:
        async with connected(url) as pool, connected(url) as other:
            with pytest.raises(UpstreamUnavailableError):
                await asyncio.gather(use(pool), use(other))

    assert "FUZE_DATABASE_TRANSACTION_POOLING=true" in capfd.readouterr().out
