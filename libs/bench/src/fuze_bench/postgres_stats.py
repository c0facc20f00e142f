"""What an order costs PostgreSQL: transactions and bytes of the write-ahead log."""

from dataclasses import dataclass

import asyncpg

DURABILITY_SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_sync_method",
)


@dataclass(frozen=True)
class PostgresCounters:
    """Counters that only grow.

    `writes` counts transactions that were assigned an id: those that wrote. `transactions` counts
    all of this database. Backends report theirs at most once a second, and at their end, so that
    number is exact only when a side's processes have ended. So it is for `blocks`, the accesses to
    pages of tables and indexes, in memory or on disk.
    """

    writes: int
    transactions: int
    wal_bytes: int
    blocks: int


class PostgresStats:
    """Reads the counters of the server at `dsn`, on one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def read(self) -> PostgresCounters:
        """Read all counters; reading assigns no transaction id."""
        row = await self._connection.fetchrow(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writes,"
            " xact_commit + xact_rollback AS transactions,"
            " pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes,"
            " blks_hit + blks_read AS blocks"
            " FROM pg_stat_database WHERE datname = current_database()"
        )
        return PostgresCounters(**row)

    async def settings(self) -> dict[str, str]:
        """Return the server's version and its settings of durability."""
        rows = await self._connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(DURABILITY_SETTINGS)
        )
        version = await self._connection.fetchval("SHOW server_version")
        return {"server_version": version} | {row["name"]: row["setting"] for row in rows}

    async def checkpoint(self) -> None:
        """Write out what earlier work left, so that it does not count for the next round."""
        await self._connection.execute("CHECKPOINT")
