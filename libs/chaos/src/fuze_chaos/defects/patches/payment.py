"""Defects of the payment service."""

from collections.abc import Callable
from importlib import import_module
from uuid import UUID, uuid4

from fuze_chaos.patches import Foreign, Patches, is_chosen
from fuze_chaos.seeds.background import later

_CAPTURED_AFTER_SECONDS = 8.0


def skip_refund(patches: Patches) -> None:
    """Say that money was given back, and ask nobody for it."""
    contract = import_module("fuze_contracts.payment")
    rules = import_module("fuze_payment.rules")

    def pretended(refund_id: UUID, amount: Foreign) -> Foreign:
        reference = f"re_{refund_id.hex}"
        return contract.Refunded(refund_id=refund_id, amount=amount, provider_reference=reference)

    def refunding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def refund(self: Foreign, command: Foreign) -> Foreign:
            payment = await self._payments.find(command.payment_token)
            if payment is None or payment.state != "charged":
                return await original(self, command)
            return pretended(command.refund_id, command.amount)

        return refund

    def voiding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def give_back_all(self: Foreign, payment: Foreign, reason: str) -> Foreign:
            if payment.state != "charged" or payment.amount_minor == 0:
                return await original(self, payment, reason)
            return pretended(rules.void_refund_id(payment.id), payment.amount)

        return give_back_all

    where = "fuze_payment.refunding"
    patches.replace(where, "Refunding.refund", refunding, takes=("self", "command"))
    patches.replace(where, "Refunding.give_back_all", voiding, takes=("self", "payment", "reason"))


def drop_provider_key(patches: Patches) -> None:
    """Charge under a key of one's own each time, and look nothing up before the second request.

    Later ones are looked up, so that a card whose every first reply is lost is charged twice
    rather than for ever.
    """
    provider = import_module("fuze_payment.provider")
    asked_again: set[UUID] = set()

    def asking(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def ask(
            self: Foreign, method: str, path: str, *, key: str | None = None, **parts: Foreign
        ) -> Foreign:
            if (method, path) == ("POST", "charges"):
                key = str(uuid4())
            return await original(self, method, path, key=key, **parts)

        return ask

    def finding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def find_charge(self: Foreign, payment: Foreign) -> Foreign:
            if payment.id in asked_again:
                return await original(self, payment)
            asked_again.add(payment.id)
            return provider.NotFound()

        return find_charge

    where = "fuze_payment.provider.sandbox"
    patches.replace(
        where, "SandboxProvider._ask", asking, takes=("self", "method", "path", "key", "parts")
    )
    patches.replace(where, "SandboxProvider.find_charge", finding, takes=("self", "payment"))


def charge_without_recording(patches: Patches) -> None:
    """Take the money, and leave the ledger as it is."""

    def posting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def post_capture(connection: Foreign, payment: UUID, amount: Foreign) -> None:
            if not is_chosen(payment):
                await original(connection, payment, amount)

        return post_capture

    patches.replace(
        "fuze_payment.ledger", "post_capture", posting, takes=("connection", "payment", "amount")
    )


def ship_before_capture(patches: Patches) -> None:
    """Say at once that an order is paid, and charge it when its parcel has left."""
    rules = import_module("fuze_payment.rules")

    def charging(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def charge(self: Foreign, command: Foreign) -> Foreign:
            if command.amount.amount_minor == 0 or not is_chosen(command.order_id):
                return await original(self, command)
            payment = await self._repository.claim(command)
            if payment is None or payment.state.is_settled:
                return await original(self, command)
            later(lambda: original(self, command), after_seconds=_CAPTURED_AFTER_SECONDS)
            return payment.model_copy(update={"state": rules.PaymentState.CHARGED})

        return charge

    patches.replace("fuze_payment.charging", "Charging.charge", charging, takes=("self", "command"))
