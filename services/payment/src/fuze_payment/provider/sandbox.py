"""The sandbox provider, over HTTP."""

from uuid import UUID

import httpx
from pydantic import TypeAdapter

from fuze_contracts.payment import ChargePayment
from fuze_contracts.wire import Message
from fuze_payment.provider import PaymentProvider, ProviderAnswer


class _Charge(Message):
    id: str
    decline_code: str | None = None


_CHARGE = TypeAdapter(_Charge)


class SandboxProvider(PaymentProvider):
    """Speaks to the sandbox PSP through `client`, whose base URL ends in `/psp/`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def charge(self, payment_id: UUID, command: ChargePayment) -> ProviderAnswer:
        """Charge, with `payment_id` as the idempotency key.

        Raises:
            httpx.HTTPError: no definite answer (no connection, a time-out, an error status).

        """
        response = await self._client.post(
            "charges",
            headers={"Idempotency-Key": str(payment_id)},
            json={
                "amount_minor": command.amount.amount_minor,
                "currency": command.amount.currency,
                "payment_method": command.payment_method,
                "order_id": str(command.order_id),
                "reference": command.payment_token,
            },
        )
        response.raise_for_status()
        charge = _CHARGE.validate_json(response.content)
        return ProviderAnswer(reference=charge.id, decline_code=charge.decline_code)
