"""The contract of an erasure: each service erases personal data from its own tables."""

from typing import Protocol
from uuid import UUID

from temporalio import activity

from fuze_contracts.base import Message

OPERATIONS_OPEN = "OperationsOpen"
"""Error type, retried: a payment or refund of these orders is not settled yet."""


class ErasePersonalData(Message):
    """Erase what identifies a person from everything about these orders, which have ended.

    An actor that is one of `names` becomes the `pseudonym`. Amounts, times, states and a country
    stay.
    """

    order_ids: tuple[UUID, ...]
    names: tuple[str, ...]
    pseudonym: str


class PersonalDataErased(Message):
    """How many rows about the orders there are; a repeated erasure returns the same number."""

    rows: int


class ErasureActivities(Protocol):
    """The activity of each service with personal data, on that service's task queue."""

    @activity.defn
    async def personal_data_erased(self, command: ErasePersonalData) -> PersonalDataErased:
        """Erase in one transaction; without effect where it is erased already."""
        ...
