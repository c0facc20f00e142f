"""Charges: one kind of provider operation."""

from collections.abc import Sequence
from uuid import UUID

from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import PAYMENT_TOKEN_CONFLICT, ChargePayment
from fuze_payment.domain import Payment, PaymentState, ProviderGuarantees
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.retryable_operations import OperationKind, RetryableOperations
from fuze_psp.provider import (
    ChargeLookup,
    ChargeRequest,
    NotFound,
    OperationResult,
    PaymentProvider,
)


class Charges(OperationKind[Payment]):
    """How a charge is submitted and looked up."""

    def __init__(
        self,
        repository: PaymentRepository,
        provider: PaymentProvider,
        guarantees: ProviderGuarantees,
    ) -> None:
        self._repository = repository
        self._provider = provider
        self._guarantees = guarantees

    @property
    def repository(self) -> PaymentRepository:
        """Return where payments are recorded."""
        return self._repository

    async def submit(self, operation: Payment) -> OperationResult:
        """Charge the payment's amount, with its id as the idempotency key."""
        return await self._provider.charge(
            ChargeRequest(
                payment_id=operation.id,
                order_id=operation.order_id,
                payment_token=operation.payment_token,
                amount=operation.amount,
                payment_method=operation.payment_method,
            )
        )

    async def look_up(self, operation: Payment) -> OperationResult | NotFound:
        """Return what the provider has under the payment's id."""
        last = operation.last_submitted_at
        return await self._provider.find_charge(
            ChargeLookup(
                payment_id=operation.id,
                reference=operation.provider_reference,
                not_before=operation.first_submitted_at or operation.created_at,
                not_after=last + self._guarantees.settle_window if last else None,
            )
        )

    async def close_expired(self, operation: Payment) -> Payment | None:
        """Void the payment. The order can pay again under another token."""
        return await self._repository.void(operation)


class ChargeService:
    """Charges a payment token once, and resolves what is not decided yet."""

    def __init__(self, charges: Charges, operations: RetryableOperations[Payment]) -> None:
        self._repository = charges.repository
        self._operations = operations

    async def charge(self, command: ChargePayment) -> Payment:
        """Return the settled payment of this token.

        Raises:
            ApplicationError: `PAYMENT_TOKEN_CONFLICT`, final; `PAYMENT_IN_FLIGHT`,
                `PAYMENT_OUTCOME_UNKNOWN` or `PAYMENT_UNDER_REVIEW`, to be retried.

        """
        claimed = await self._repository.claim(command)
        if claimed is None or not claimed.payment.matches(command):
            raise token_conflict()
        if claimed.is_new and not claimed.payment.state.is_settled:
            return await self._operations.send(claimed.payment)
        return await self._operations.execute(claimed.payment)

    async def list_kept(self, order_ids: Sequence[UUID]) -> list[ChargePayment]:
        """Return the orders' charges of which money is kept."""
        return await self._repository.list_kept(order_ids)

    async def refresh(self, payment_id: UUID) -> Payment | None:
        """Look up a payment that is under review; None where there is no such payment.

        A payment in any other state is not looked up: the attempt that charges it does that.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT`, `PAYMENT_OUTCOME_UNKNOWN` or
                `PAYMENT_UNDER_REVIEW`, to be retried.

        """
        payment = await self._repository.get(payment_id)
        if payment is None or payment.state is not PaymentState.UNDER_REVIEW:
            return payment
        return await self._operations.execute(payment)


def token_conflict() -> ApplicationError:
    """Return the final error of a command whose token, or order, has another charge."""
    return ApplicationError(
        "the order, or its payment token, already has another charge",
        type=PAYMENT_TOKEN_CONFLICT,
        non_retryable=True,
    )
