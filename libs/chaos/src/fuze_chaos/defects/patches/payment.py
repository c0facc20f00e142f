"""Patches of the payment service."""

from collections.abc import Callable
from importlib import import_module
from uuid import UUID, uuid4

from fuze_chaos.defects.patches.background import run_later
from fuze_chaos.defects.patching import Foreign, Patches, is_affected

_CAPTURE_DELAY_SECONDS = 8.0


def skip_refund(patches: Patches) -> None:
    """Report a refund as done, and send none."""
    contract = import_module("fuze_contracts.payment")
    domain = import_module("fuze_payment.domain")

    def fake_refund(refund_id: UUID, amount: Foreign) -> Foreign:
        reference = f"re_{refund_id.hex}"
        return contract.Refunded(refund_id=refund_id, amount=amount, provider_reference=reference)

    def refunding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def refund(self: Foreign, command: Foreign) -> Foreign:
            reserved = await self.reserve(command)
            if reserved.outcome != "reserved":
                return await original(self, command)
            return fake_refund(command.refund_id, reserved.amount)

        return refund

    def voiding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def refund_remaining(self: Foreign, payment: Foreign, reason: str) -> Foreign:
            if payment.state != "charged" or payment.amount_minor == 0:
                return await original(self, payment, reason)
            return fake_refund(domain.void_refund_id(payment.id), payment.amount)

        return refund_remaining

    where = "fuze_payment.refund_service"
    patches.replace(where, "RefundService.refund", refunding, parameters=("self", "command"))
    patches.replace(
        where, "RefundService.refund_remaining", voiding, parameters=("self", "payment", "reason")
    )


def drop_provider_key(patches: Patches) -> None:
    """Send every charge with a new key, and skip the look-up before the first retry.

    Later retries look the charge up, so that a card whose every first response is lost is charged
    twice instead of forever.
    """
    provider = import_module("fuze_psp.provider")
    retried: set[UUID] = set()

    def sending(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def send(
            self: Foreign, method: str, path: str, *, key: str | None = None, **parts: Foreign
        ) -> Foreign:
            if (method, path) == ("POST", "charges"):
                key = str(uuid4())
            return await original(self, method, path, key=key, **parts)

        return send

    def finding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def find_charge(self: Foreign, lookup: Foreign) -> Foreign:
            if lookup.payment_id in retried:
                return await original(self, lookup)
            retried.add(lookup.payment_id)
            return provider.NotFound()

        return find_charge

    where = "fuze_psp.sandbox.provider"
    patches.replace(
        where,
        "SandboxProvider._send",
        sending,
        parameters=("self", "method", "path", "key", "parts"),
    )
    patches.replace(where, "SandboxProvider.find_charge", finding, parameters=("self", "lookup"))


def charge_without_recording(patches: Patches) -> None:
    """Capture a charge without posting it to the ledger."""

    def posting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def post_capture(connection: Foreign, payment: UUID, amount: Foreign) -> None:
            if not is_affected(payment):
                await original(connection, payment, amount)

        return post_capture

    patches.replace(
        "fuze_payment.ledger",
        "post_capture",
        posting,
        parameters=("connection", "payment", "amount"),
    )


def ship_before_capture(patches: Patches) -> None:
    """Report a charge as captured at once, and send it after the dispatch."""
    domain = import_module("fuze_payment.domain")

    def charging(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def charge(self: Foreign, command: Foreign) -> Foreign:
            if command.amount.amount_minor == 0 or not is_affected(command.order_id):
                return await original(self, command)
            claimed = await self._repository.claim(command)
            if claimed is None or claimed.payment.state.is_settled:
                return await original(self, command)
            payment = claimed.payment
            if claimed.is_new:  # the charge that is sent later acquires the lease
                await self._repository.release_not_attempted(payment)
            run_later(lambda: original(self, command), delay=_CAPTURE_DELAY_SECONDS)
            return payment.model_copy(update={"state": domain.PaymentState.CHARGED})

        return charge

    patches.replace(
        "fuze_payment.charge_service",
        "ChargeService.charge",
        charging,
        parameters=("self", "command"),
    )
