"""The load: every order of a seed played through the gateway, many at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from fuze_chaos.caller import Caller, Job
from fuze_chaos.life import ENDS
from fuze_chaos.orders import Act, Play, order
from fuze_devstack import http_client

_MOST_AT_ONCE = 400
_STORM = 50
_STORMS_FROM = 10**9
_LOOKS_EVERY_SECONDS = 0.7
_WAITS_AT_MOST_SECONDS = 150.0

_REQUESTS = {
    "approve": ("POST", "/approve"),
    "reject": ("POST", "/reject"),
    "cancel": ("POST", "/cancel"),
    "address": ("PUT", "/address"),
    "payment-method": ("PUT", "/payment-method"),
    "refund": ("POST", "/refunds"),
    "signal-approve": ("POST", "/signals/approve"),
    "signal-cancel": ("POST", "/signals/cancel"),
    "signal-address": ("POST", "/signals/change-address"),
}
_WITHOUT_ID = "/orders"


class Load:
    """Plays the orders of a seed. The sandbox and Temporal are reached past all proxies."""

    def __init__(self, caller: Caller, *, sandbox: str, temporal: Client) -> None:
        self._caller = caller
        self._sandbox = sandbox
        self._temporal = temporal
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def play(
        self, seed: int, orders: int, rate: float, played: Callable[[], None] = lambda: None
    ) -> None:
        """Play so many orders, `rate` of them a second; return when nothing is left to be done."""
        async with asyncio.TaskGroup() as plays:
            for number in range(orders):
                await self._places.acquire()
                task = plays.create_task(self._play(order(seed, number)))
                task.add_done_callback(lambda _: self._places.release())
                task.add_done_callback(lambda _: played())
                await asyncio.sleep(1 / rate)

    async def storm(self, seed: int, number: int) -> None:
        """Place one order fifty times at once, and approve of it fifty times at once."""
        play = order(seed, _STORMS_FROM + number)
        approve = Act("approve", body={"actor": "grace"}, times=_STORM)
        await self._play(replace(play, kind="storm", acts=(approve,), places=_STORM))

    async def _play(self, play: Play) -> None:
        order_id = await self._place(play)
        if order_id is None:
            return
        for act in play.acts:
            if act.when is not None and not await self._waits_for(order_id, act.when):
                continue
            await asyncio.sleep(act.after)
            await asyncio.gather(*(self._act(play, order_id, act) for _ in range(act.times)))

    async def _place(self, play: Play) -> str | None:
        """Place the order, as often as it is placed; return its id, or None without an answer."""
        requests = [self._caller.ask(_placing(play)) for _ in range(play.places)]
        answers = await asyncio.gather(*requests)
        placed = [answer for answer in answers if answer is not None and answer.is_success]
        if not placed:
            return None
        if play.is_misused:
            await self._caller.ask(_placing(play, misuse=True))
        order_id: str = placed[0].json()["order_id"]
        return order_id

    async def _waits_for(self, order_id: str, wanted: frozenset[str]) -> bool:
        """Wait until the order is there; False where it ends, or lingers, elsewhere."""
        for _ in range(int(_WAITS_AT_MOST_SECONDS / _LOOKS_EVERY_SECONDS)):
            found = await self._caller.peek(f"/orders/{order_id}/status")
            if found is not None:
                if found["status"] in wanted:
                    return True
                if found["status"] in ENDS:
                    return False
            await asyncio.sleep(_LOOKS_EVERY_SECONDS)
        return False

    async def _act(self, play: Play, order_id: str, act: Act) -> None:
        match act.do:
            case "decide":
                await self._decide(order_id, act.body)
            case "temporal-cancel":
                await self._cancel_in_temporal(order_id)
            case _:
                await self._caller.ask(_errand(play, order_id, act))

    async def _decide(self, order_id: str, decision: dict[str, Any]) -> None:
        """Decide a payment under review, as the provider's own people would."""
        async with http_client.create_client(self._sandbox) as provider:
            for _ in range(int(_WAITS_AT_MOST_SECONDS / _LOOKS_EVERY_SECONDS)):
                try:
                    answer = await provider.get("/psp/charges", params={"order_id": order_id})
                    charges = answer.json()["charges"]
                    held = [charge for charge in charges if charge["status"] == "under_review"]
                    if held:
                        path = f"/psp/charges/{held[0]['id']}/decide"
                        await provider.post(path, json=decision)
                    if charges:
                        return
                except httpx.HTTPError:
                    pass  # the provider is hit by a fault itself
                status = await self._caller.peek(f"/orders/{order_id}/status")
                if status is not None and status["status"] in ENDS:
                    return
                await asyncio.sleep(_LOOKS_EVERY_SECONDS)

    async def _cancel_in_temporal(self, order_id: str) -> None:
        for _ in range(5):
            try:
                await self._temporal.get_workflow_handle(f"order/{order_id}").cancel()
            except RPCError:
                await asyncio.sleep(1)  # away; or the order has ended, and it does no harm
            else:
                return


def _placing(play: Play, *, misuse: bool = False) -> Job:
    body = play.body | {"customer": "somebody-else@example.com"} if misuse else play.body
    path = _WITHOUT_ID if play.key else f"/orders/{play.order_id}/start"
    return Job(
        what="place",
        order_id=str(play.order_id),
        method="POST",
        path=path,
        body=body,
        key=play.key,
        identity=play.key or str(play.order_id),
        misuse=misuse,
    )


def _errand(play: Play, order_id: str, act: Act) -> Job:
    method, path = _REQUESTS[act.do]
    key = f"refund-{order_id}" if act.do == "refund" else None
    return Job(
        what=act.do,
        order_id=order_id,
        method=method,
        path=f"/orders/{order_id}{path}",
        body=_body(play, act),
        key=key,
        identity=key,
    )


def _body(play: Play, act: Act) -> dict[str, Any] | None:
    if act.do == "refund":
        return act.body | {"amount_minor": play.body["lines"][0]["unit_price_minor"]}
    return act.body or None
