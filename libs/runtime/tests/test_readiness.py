"""When a process is ready: a wrong configuration differs from an outage."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_order.tables import DATABASE_ACCESS
from fuze_runtime import temporal_check
from fuze_runtime.database_check import (
    DatabaseCheck,
    DatabaseProblem,
    DatabaseReadiness,
    build_check,
    read_revisions,
)
from fuze_runtime.health import CachedCheck
from fuze_runtime.settings import DatabaseSettings

_, _HEAD = read_revisions("fuze_order")


@pytest.fixture
def url(postgres: EmbeddedPostgres) -> str:
    return postgres.url("order")


@asynccontextmanager
async def changed(postgres: EmbeddedPostgres, change: str, repair: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(change)
    try:
        yield
    finally:
        await connection.execute(repair)
        await connection.close()


async def find_problem(url: str) -> DatabaseProblem | None:
    return await build_check(DatabaseSettings(database_url=url), DATABASE_ACCESS).find_problem()


async def test_a_migrated_database_has_no_problem(url: str) -> None:
    assert await find_problem(url) is None


async def test_a_wrong_password_is_not_an_outage(url: str) -> None:
    role, _, server = url.rpartition("@")

    problem = await find_problem(f"{role}-wrong@{server}")

    assert problem is not None
    assert (problem.part, problem.is_outage) == ("connection", False)
    assert 'password authentication failed for user "fuze_order"' in problem.reason
    assert "correct FUZE_DATABASE_URL" in problem.reason


async def test_a_database_that_does_not_exist_is_not_an_outage(url: str) -> None:
    problem = await find_problem(url.removesuffix("/fuze") + "/nothing")

    assert problem is not None
    assert not problem.is_outage
    assert 'database "nothing" does not exist' in problem.reason


@pytest.mark.parametrize(
    ("change", "repair", "reason"),
    [
        (
            "ALTER TABLE orders.alembic_version RENAME TO hidden",
            "ALTER TABLE orders.hidden RENAME TO alembic_version",
            "schema orders is not migrated",
        ),
        (
            "DELETE FROM orders.alembic_version",
            f"INSERT INTO orders.alembic_version VALUES ('{_HEAD}')",  # noqa: S608 - of our code
            f"schema orders is at revision none, not {_HEAD}",
        ),
        (
            "REVOKE UPDATE ON orders.returns FROM fuze_order",
            "SET ROLE fuze_order_migrator; GRANT UPDATE ON orders.returns TO fuze_order",
            "the role lacks UPDATE on orders.returns",
        ),
        (
            "REVOKE SELECT ON orders.alembic_version FROM fuze_order",
            "SET ROLE fuze_order_migrator; GRANT SELECT ON orders.alembic_version TO fuze_order",
            "permission denied for table alembic_version",
        ),
    ],
    ids=["not migrated", "no revision", "missing grant", "migrated by an older version"],
)
async def test_a_schema_that_the_code_cannot_use_is_migrated_first(
    postgres: EmbeddedPostgres, url: str, change: str, repair: str, reason: str
) -> None:
    async with changed(postgres, change, repair):
        problem = await find_problem(url)

    assert problem is not None
    assert not problem.is_outage
    assert problem.reason.startswith(reason)
    assert problem.reason.endswith("; run: python -m fuze_order migrate")


async def test_a_schema_that_is_older_than_the_code_is_migrated_first(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    versions = tmp_path / "fuze_newer" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "first.py").write_text(f'revision = "{_HEAD}"\ndown_revision = None\n')
    (versions / "second.py").write_text(f"revision = 'ab12'\ndown_revision = '{_HEAD}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    newer = replace(DATABASE_ACCESS, package="fuze_newer")

    problem = await build_check(DatabaseSettings(database_url=url), newer).find_problem()

    assert problem is not None
    assert problem.reason.startswith(f"schema orders is at revision {_HEAD}, not ab12; run:")


async def test_a_schema_of_newer_code_is_no_problem(postgres: EmbeddedPostgres, url: str) -> None:
    newer = "UPDATE orders.alembic_version SET version_num = '9999'"
    head = f"UPDATE orders.alembic_version SET version_num = '{_HEAD}'"  # noqa: S608 - of our code
    async with changed(postgres, newer, head):
        assert await find_problem(url) is None


async def test_an_outage_counts_until_the_database_was_seen_once(url: str) -> None:
    role, _, _ = url.rpartition("@")
    unavailable = build_check(
        DatabaseSettings(database_url=f"{role}@127.0.0.1:{Ports.free().postgres}/fuze"),
        DATABASE_ACCESS,
    )
    checks = [unavailable, build_check(DatabaseSettings(database_url=url), DATABASE_ACCESS)]

    def open_connection() -> object:
        return checks[0]._open_connection()

    readiness = DatabaseReadiness(DatabaseCheck(DATABASE_ACCESS, open_connection))  # type: ignore[arg-type] # one of two
    never_seen = await readiness()
    checks.reverse()
    seen = await readiness()
    checks.reverse()
    later_outage = await readiness()

    assert never_seen is not None
    assert never_seen.startswith("PostgreSQL is unavailable")
    assert (seen, later_outage) == (None, None)


async def test_a_server_that_never_answers_is_an_outage_after_two_seconds(url: str) -> None:
    role, _, _ = url.rpartition("@")
    began_at = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        problem = await find_problem(f"{role}@127.0.0.1:{port}/fuze")

    assert problem is not None
    assert problem.is_outage
    assert time.monotonic() - began_at < 10


async def test_probes_share_one_check_until_it_expires() -> None:
    problems: list[str | None] = [None, "broken"]
    checked: list[str | None] = []

    async def check() -> str | None:
        checked.append(problems[len(checked)])
        await asyncio.sleep(0)
        return checked[-1]

    cached = CachedCheck(check, timedelta(seconds=0.2))
    together = await asyncio.gather(*(cached() for _ in range(20)))
    async with asyncio.timeout(10):
        while (later := await cached()) is None:
            await asyncio.sleep(0.01)

    assert together == [None] * 20
    assert later == "broken"
    assert checked == [None, "broken"]


async def test_a_namespace_that_does_not_exist_is_named(dev_server: WorkflowEnvironment) -> None:
    address = dev_server.client.service_client.config.target_host
    client = await Client.connect(address, namespace="shop")

    problem = await temporal_check.find_problem(client)

    assert problem is not None
    assert problem.startswith("Temporal has no namespace shop; correct TEMPORAL_NAMESPACE")


async def test_temporal_that_is_unreachable_is_named_with_its_address() -> None:
    address = f"127.0.0.1:{Ports.free().temporal}"
    client = await Client.connect(address, lazy=True)

    problem = await temporal_check.find_problem(client)

    assert problem is not None
    assert problem.startswith(f"Temporal is unavailable at {address} (TEMPORAL_ADDRESS)")
