"""The messages between the payment service's workflows and its own activities."""

from datetime import datetime, timedelta

from fuze_contracts.base import Message


class ReconcilePayments(Message):
    """Compare the payments of the last `look_back`, except what changed within `idle_for`."""

    look_back: timedelta
    idle_for: timedelta


class ComparePayments(Message):
    """Compare the provider's records with ours, from `since` (UTC) on.

    What changed less than `idle_for` ago is skipped: an attempt may still be in flight.
    """

    since: datetime
    idle_for: timedelta


class ResumeRefunds(Message):
    """Run the workflows of refunds again that their orders do not have as events.

    What changed less than `idle_for` ago is skipped.
    """

    idle_for: timedelta


class ReconciliationResult(Message):
    """How many records were compared and repaired, and how many discrepancies are left.

    `resumed` is how many refunds their orders did not have as events.
    """

    charges: int
    refunds: int
    repaired: int
    discrepancies: int
    resumed: int = 0
