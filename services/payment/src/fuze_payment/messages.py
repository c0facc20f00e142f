"""What the payment service's workflows say to its own activities."""

from datetime import datetime, timedelta

from fuze_contracts.base import Message


class Reconcile(Message):
    """Compare the provider's books with ours, from `since` (UTC) on.

    What is younger than `at_rest_for` is left alone: whoever asked for it is still at it.
    """

    since: datetime
    at_rest_for: timedelta


class Reconciled(Message):
    """What a comparison found: how much was compared, what was mended, what a person must see."""

    charges: int
    refunds: int
    mended: int
    discrepancies: int
