"""One attempt at a time: leases on errands to the provider, by the database's clock.

A lease that its holder cannot give back, because it was killed, runs out. Each new holder has a
higher fencing_token, and whatever an earlier one still tries to send is refused.
"""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_NOTHING = timedelta(0)


def errand_columns(table: sa.Table) -> list[sa.ColumnElement[object]]:
    """Return the times of an errand as durations, so that no other clock is asked.

    All of them from one instant: `clock_timestamp()` goes on between two columns of a row.
    """
    now = sa.func.statement_timestamp()
    return [
        sa.func.greatest(table.c.lease_expires_at - now, sa.literal(_NOTHING)).label("lease_left"),
        (now - table.c.first_submitted_at).label("key_age"),
        (now - table.c.last_submitted_at).label("since_last_submitted"),
    ]


async def take(
    connection: AsyncConnection, table: sa.Table, errand: UUID, settled: list[str], lease: timedelta
) -> bool:
    """Take an unsettled errand that nobody works on, for `lease`; False if somebody does."""
    now = sa.func.clock_timestamp()
    taken = await connection.execute(
        sa.update(table)
        .where(table.c.id == errand, table.c.state.not_in(settled), table.c.lease_expires_at <= now)
        .values(
            fencing_token=table.c.fencing_token + 1, lease_expires_at=now + lease, updated_at=now
        )
    )
    return taken.rowcount == 1


async def mark_submitted(
    connection: AsyncConnection,
    table: sa.Table,
    errand: UUID,
    settled: list[str],
    fencing_token: int,
) -> bool:
    """Write that the errand is about to be sent; False for one who lost it meanwhile."""
    now = sa.func.clock_timestamp()
    marked = await connection.execute(
        sa.update(table)
        .where(
            table.c.id == errand,
            table.c.fencing_token == fencing_token,
            table.c.state.not_in(settled),
            table.c.lease_expires_at > now,
        )
        .values(
            state="submitted",
            first_submitted_at=sa.func.coalesce(table.c.first_submitted_at, now),
            last_submitted_at=now,
            updated_at=now,
        )
    )
    return marked.rowcount == 1


async def give_back(
    connection: AsyncConnection,
    table: sa.Table,
    errand: UUID,
    fencing_token: int,
    **known: object,
) -> None:
    """End the lease early, writing what is known; without effect for one who lost it meanwhile."""
    now = sa.func.clock_timestamp()
    await connection.execute(
        sa.update(table)
        .where(
            table.c.id == errand,
            table.c.fencing_token == fencing_token,
            table.c.lease_expires_at > now,
        )
        .values(lease_expires_at=now, updated_at=now, **known)
    )


NOT_SUBMITTED = {"state": "created", "first_submitted_at": None, "last_submitted_at": None}
"""What is known of an errand whose first request surely did nothing."""
