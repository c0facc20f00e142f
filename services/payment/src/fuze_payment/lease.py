"""One attempt at a time: leases on errands to the provider, by the database's clock.

A lease that its holder cannot give back, because it was killed, runs out. Each new holder has a
higher epoch, and whatever an earlier one still tries to send is refused.
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
        sa.func.greatest(table.c.lease_until - now, sa.literal(_NOTHING)).label("lease_left"),
        (now - table.c.first_sent_at).label("key_age"),
        (now - table.c.last_sent_at).label("quiet_for"),
    ]


async def take(
    connection: AsyncConnection, table: sa.Table, errand: UUID, settled: list[str], lease: timedelta
) -> bool:
    """Take an unsettled errand that nobody works on, for `lease`; False if somebody does."""
    now = sa.func.clock_timestamp()
    taken = await connection.execute(
        sa.update(table)
        .where(table.c.id == errand, table.c.state.not_in(settled), table.c.lease_until <= now)
        .values(epoch=table.c.epoch + 1, lease_until=now + lease, updated_at=now)
    )
    return taken.rowcount == 1


async def mark_sent(
    connection: AsyncConnection, table: sa.Table, errand: UUID, settled: list[str], epoch: int
) -> bool:
    """Write that the errand is about to be sent; False for one who lost it meanwhile."""
    now = sa.func.clock_timestamp()
    marked = await connection.execute(
        sa.update(table)
        .where(
            table.c.id == errand,
            table.c.epoch == epoch,
            table.c.state.not_in(settled),
            table.c.lease_until > now,
        )
        .values(
            state="sent",
            first_sent_at=sa.func.coalesce(table.c.first_sent_at, now),
            last_sent_at=now,
            updated_at=now,
        )
    )
    return marked.rowcount == 1


async def give_back(
    connection: AsyncConnection,
    table: sa.Table,
    errand: UUID,
    epoch: int,
    **known: object,
) -> None:
    """End the lease early, writing what is known; without effect for one who lost it meanwhile."""
    now = sa.func.clock_timestamp()
    await connection.execute(
        sa.update(table)
        .where(table.c.id == errand, table.c.epoch == epoch, table.c.lease_until > now)
        .values(lease_until=now, updated_at=now, **known)
    )


NOT_SENT = {"state": "intent", "first_sent_at": None, "last_sent_at": None}
"""What is known of an errand whose first request surely did nothing."""
