"""Why no workflow was there to hear a caller."""

from uuid import UUID

from fuze_gateway import problems
from fuze_gateway.dependencies import Sources


async def refuse_unheard(order_id: UUID, sources: Sources) -> None:
    """Say why no workflow was there to hear.

    Raises:
        Problem: the order has ended, or was never placed.
        SourceUnavailableError: it cannot be said which.

    """
    if await sources.live.exists(order_id) or await sources.reads.fingerprint(order_id):
        raise problems.order_already_ended(order_id)
    raise problems.order_not_found(order_id)
