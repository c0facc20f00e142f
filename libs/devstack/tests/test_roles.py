"""The roles of roles.sql, which the owner of the database makes, who is no superuser."""

import importlib

import asyncpg
import pytest

from fuze_devstack.errors import StackError
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.services import MIGRATED_SERVICES, ROLES, Service
from fuze_runtime.database_check import build_check
from fuze_runtime.settings import DatabaseSettings


async def test_the_owner_of_the_database_that_ran_the_script_is_no_superuser(
    postgres: EmbeddedPostgres,
) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    owner = await connection.fetchrow(
        "SELECT rolsuper, rolcreaterole, (SELECT count(*) FROM pg_auth_members"
        " WHERE member = pg_roles.oid AND set_option) AS memberships FROM pg_roles"
        " WHERE oid = (SELECT datdba FROM pg_database WHERE datname = current_database())"
    )
    await connection.close()

    assert tuple(owner) == (False, True, 0)


def test_the_script_can_run_again(postgres: EmbeddedPostgres) -> None:
    postgres.set_up()


def test_a_password_that_is_missing_is_named(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [role for role in ROLES if role.name != "webhooks"]
    monkeypatch.setattr("fuze_devstack.postgres.ROLES", others)

    with pytest.raises(StackError, match="FUZE_WEBHOOKS_DB_PASSWORD is not set"):
        postgres.set_up()


@pytest.mark.parametrize("service", MIGRATED_SERVICES, ids=lambda service: service.name)
async def test_a_service_has_the_rights_that_it_needs_and_no_others(
    postgres: EmbeddedPostgres, service: Service
) -> None:
    access = importlib.import_module(f"{service.package}.tables").DATABASE_ACCESS
    settings = DatabaseSettings(database_url=postgres.url(service.role.name))
    check = build_check(settings, access)

    assert await check.find_problem() is None
    assert await check.find_excess_grants() == []


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("order", "DELETE FROM orders.orders"),
        ("order", "UPDATE orders.events SET seq = 1"),
        ("order", "DELETE FROM orders.events"),
        ("order", "TRUNCATE orders.returns"),
        ("order", "CREATE TABLE orders.more ()"),
        ("order", "ALTER TABLE orders.orders ADD COLUMN more text"),
        ("order", "CREATE TABLE public.more ()"),
        ("order", "CREATE TEMPORARY TABLE more ()"),
        ("order", "SELECT FROM payments.payments"),
        ("order", "UPDATE orders.alembic_version SET version_num = '1'"),
        ("payment", "UPDATE payments.ledger_entries SET debit_minor = 1"),
        ("payment", "SELECT FROM orders.published_orders"),
        ("shipping", "SELECT FROM orders.orders"),
        ("shipping", "DELETE FROM shipping.shipments"),
        ("gateway", "SELECT FROM orders.orders"),
        ("gateway", "SELECT FROM payments.ledger_entries"),
        ("gateway", "UPDATE orders.published_orders SET status = 'shipped'"),
        ("gateway", "UPDATE gateway.api_keys SET scopes = '{}'"),
        ("order_migrator", "SELECT FROM payments.payments"),
        ("order_migrator", "CREATE SCHEMA more"),
        ("order", "SET ROLE fuze_order_migrator"),
    ],
)
async def test_a_role_is_refused_what_it_does_not_need(
    postgres: EmbeddedPostgres, role: str, statement: str
) -> None:
    connection = await asyncpg.connect(postgres.url(role).replace("+asyncpg", ""))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_role_has_a_limited_number_of_connections(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    rows = await connection.fetch("SELECT rolname, rolconnlimit FROM pg_roles")
    await connection.close()

    limits = dict(map(tuple, rows))
    assert {limits[one.role.database_name] for one in MIGRATED_SERVICES} == {44}
    assert {limits[one.migrator.database_name] for one in MIGRATED_SERVICES} == {4}
