"""The protocol of every operation at the provider: at most one effect, whatever fails.

1. Claim: insert the row under its unique id. The caller does this, in its kind's repository. A
   charge is inserted with its lease and as `submitted`, so that its request can be sent next.
2. Acquire the lease, with a higher fencing token than every holder before.
3. If an earlier attempt sent a request, look the operation up at the provider. Otherwise, or where
   the decision table says so, record `submitted`, commit, and send the request. The idempotency
   key is the row's id, the same for every request.
4. Settle: record the definite result and its two ledger entries in one transaction.

Decision table:

| state   | lookup    | key still guaranteed | settle window over | charge        | refund        |
| ------- | --------- | -------------------- | ------------------ | ------------- | ------------- |
| created | none      |                      |                    | submit        | submit        |
| other   | found     |                      |                    | apply result  | apply result  |
| other   | not found | yes                  |                    | submit again  | submit again  |
| other   | not found | no                   | no                 | wait          | wait          |
| other   | not found | no                   | yes                | void          | submit again  |

Crash-safe at every await: a new attempt acquires the lease after it has expired, and continues from
the row.
"""

from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import (
    PAYMENT_IN_FLIGHT,
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_UNDER_REVIEW,
)
from fuze_payment.domain import (
    NextStep,
    ProviderGuarantees,
    ProviderOperation,
    first_step,
    step_when_not_found,
)
from fuze_payment.operation_repository import OperationRepository
from fuze_psp.provider import (
    Indeterminate,
    NotAttempted,
    NotFound,
    OperationResult,
    Rejected,
    RetryLater,
    Succeeded,
    UnderReview,
)

Operation = TypeVar("Operation", bound=ProviderOperation)

_MIN_RETRY_DELAY = timedelta(seconds=1)


class OperationKind(Protocol[Operation]):
    """What differs between charges and refunds."""

    @property
    def repository(self) -> OperationRepository[Operation]:
        """Return where the operations are recorded."""
        ...

    async def submit(self, operation: Operation) -> OperationResult:
        """Send the request to the provider."""
        ...

    async def look_up(self, operation: Operation) -> OperationResult | NotFound:
        """Return what the provider has under the operation's id."""
        ...

    async def close_expired(self, operation: Operation) -> Operation | None:
        """Close an operation that can no longer take effect; None to submit it again."""
        ...


class RetryableOperations(Generic[Operation]):
    """Executes one kind of operation at the provider."""

    def __init__(
        self,
        kind: OperationKind[Operation],
        guarantees: ProviderGuarantees,
        review_poll_interval: timedelta,
    ) -> None:
        self._kind = kind
        self._repository = kind.repository
        self._guarantees = guarantees
        self._review_poll_interval = review_poll_interval

    async def execute(self, operation: Operation) -> Operation:
        """Return the settled operation.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT`, `PAYMENT_OUTCOME_UNKNOWN` or
                `PAYMENT_UNDER_REVIEW`, to be retried.

        """
        acquired = await self.acquire(operation)
        return acquired if acquired.state.is_settled else await self._resolve(acquired)

    async def acquire(self, operation: Operation) -> Operation:
        """Return the operation with its lease acquired, or as another attempt settled it.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT`: another attempt holds the lease.

        """
        if operation.state.is_settled:
            return operation
        acquired = await self._repository.acquire(operation)
        current = acquired or await self._repository.get(operation.id)
        if current is None or (acquired is None and not current.state.is_settled):
            raise in_flight(current.lease_left if current else _MIN_RETRY_DELAY)
        return current

    async def _resolve(self, operation: Operation) -> Operation:
        if first_step(operation.state) is NextStep.SUBMIT:
            return await self._submit(operation)
        found = await self._kind.look_up(operation)
        if not isinstance(found, NotFound):
            return await self._apply_result(operation, found)
        match step_when_not_found(operation, self._guarantees):
            case NextStep.SUBMIT:
                return await self._submit(operation)
            case NextStep.EXPIRE:
                closed = await self._kind.close_expired(operation)
                return closed or await self._submit(operation)
            case _:
                pending = Indeterminate(reason="the request may still take effect")
                return await self._apply_result(operation, pending)

    async def _submit(self, operation: Operation) -> Operation:
        # Commit before the request is sent: a sent operation must never look unsent.
        if not await self._repository.mark_submitted(operation):
            raise in_flight(_MIN_RETRY_DELAY)
        return await self.send(operation)

    async def send(self, operation: Operation) -> Operation:
        """Send the request of an operation that is recorded as submitted, and apply the result.

        Raises:
            ApplicationError: `PAYMENT_OUTCOME_UNKNOWN` or `PAYMENT_UNDER_REVIEW`, to be retried.

        """
        return await self._apply_result(operation, await self._kind.submit(operation))

    async def _apply_result(self, operation: Operation, result: OperationResult) -> Operation:
        match result:
            case Succeeded() | Rejected():
                return await self._repository.settle(operation, result)
            case UnderReview():
                await self._repository.mark_under_review(operation, result)
                raise ApplicationError(
                    "the provider reviews the operation",
                    type=PAYMENT_UNDER_REVIEW,
                    next_retry_delay=self._review_poll_interval,
                )
            case NotAttempted():
                await self._repository.release_not_attempted(operation)
                raise outcome_unknown("the provider is unavailable", result.retry_after)
            case RetryLater():
                await self._repository.release(operation)
                raise outcome_unknown("the provider is still processing", result.retry_after)
            case Indeterminate():
                await self._repository.release_as_unknown(operation)
                raise outcome_unknown(result.reason)


def in_flight(lease_left: timedelta) -> ApplicationError:
    """Return the error of an attempt that finds the lease held by another."""
    return ApplicationError(
        "another attempt is in flight",
        type=PAYMENT_IN_FLIGHT,
        next_retry_delay=max(lease_left, _MIN_RETRY_DELAY),
    )


def outcome_unknown(reason: str, retry_after: timedelta | None = None) -> ApplicationError:
    """Return the error of an attempt that ends without a definite result."""
    return ApplicationError(reason, type=PAYMENT_OUTCOME_UNKNOWN, next_retry_delay=retry_after)
