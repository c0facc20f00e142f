"""Four eyes: the order learns which caller placed it, and which one approves it."""

from uuid import UUID

import httpx
import pytest
from gateway_harness import MakeKey, Serve, bearer
from pydantic import ValidationError

from fuze_gateway.settings import GatewaySettings


async def test_who_placed_an_order_does_not_approve_it_and_another_caller_does(
    serve: Serve, make_key: MakeKey, order_id: UUID
) -> None:
    shop, approver = bearer(await make_key()), bearer(await make_key())
    async with serve(authentication="required", four_eyes=True) as http:

        async def send(path: str, headers: dict[str, str]) -> httpx.Response:
            body = {"address": {"zip_code": "10001"}} if path == "start" else {"actor": "ada"}
            return await http.post(f"/orders/{order_id}/{path}", json=body, headers=headers)

        assert (await send("start", shop)).status_code == 202
        refused = await send("approve", shop)
        approved = await send("approve", approver)

    assert (refused.status_code, refused.json()["type"]) == (
        403,
        "/problems/approver-placed-order",
    )
    assert approved.status_code == 200


def test_four_eyes_require_authentication() -> None:
    with pytest.raises(ValidationError, match="FUZE_FOUR_EYES"):
        GatewaySettings(database_url="postgresql://nowhere/", four_eyes=True)
