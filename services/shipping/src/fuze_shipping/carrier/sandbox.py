"""The sandbox carrier, over HTTP."""

import httpx
from pydantic import TypeAdapter

from fuze_shipping.carrier import Acceptance, Carrier
from fuze_shipping.messages import DispatchPackage

_ACCEPTANCE = TypeAdapter(Acceptance)


class SandboxCarrier(Carrier):
    """Speaks to the sandbox carrier through `client`, whose base URL ends in `/carrier/`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def accept(self, command: DispatchPackage) -> Acceptance:
        """Hand over, with the shipment's id as the idempotency key.

        Raises:
            httpx.HTTPError: no definite answer (no connection, a time-out, an error status).

        """
        order = command.order
        response = await self._client.post(
            "parcels",
            headers={"Idempotency-Key": str(command.shipment_id)},
            json={
                "shipment_id": str(command.shipment_id),
                "order_id": str(order.order_id),
                "address": order.address.model_dump(mode="json"),
                "contents": [item.model_dump(mode="json") for item in order.items],
            },
        )
        response.raise_for_status()
        return _ACCEPTANCE.validate_json(response.content)
