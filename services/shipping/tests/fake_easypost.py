"""A fake EasyPost for tests, over HTTP. It has never been compared with EasyPost itself.

Each response has the shape of one that EasyPost documents or that its own Python client has
recorded, with other values. Its source is named beside it: *docs* is docs.easypost.com, *cassette*
a file of `tests/cassettes` in github.com/EasyPost/easypost-python 10.7.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web

from fuze_contracts.address import Address

SENDER = Address(
    country="US",
    company="Shop",
    line1="388 Townsend St",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    phone="+14155550100",
)
BUYER = Address(
    country="US",
    name="Ada",
    line1="179 N Harbor Dr",
    line2="Apt 2",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    phone="+13105550100;ext=7",
    email="ada@example.com",
)
TEST_KEY = "EZTK_unused"
USPS_GROUND = ("USPS", "GroundAdvantage", "6.07")
USPS_EXPRESS = ("USPS", "Express", "34.15")
UPS_GROUND = ("UPS", "Ground", "10.20")


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    `response` is returned in place of doing anything. Without one, the request is executed: after
    `released`, if it is `delayed`; and its response is dropped, if it is `dropped`.
    """

    name: str
    response: Callable[[], web.Response] | None = None
    delayed: bool = False
    dropped: bool = False


def error(status: int, code: str, message: str, *errors: Any) -> Fault:  # noqa: ANN401 - as JSON
    """Return an error of the API: docs/errors; cassette test_error."""
    body = {"error": {"code": code, "message": message, "errors": list(errors)}}
    return Fault(code, lambda: web.json_response(body, status=status))


DROPPED = Fault("dropped", dropped=True)
DELAYED = Fault("delayed", delayed=True)
# docs/guides/rate-limiting-guide: status 429. The body is not documented.
RATE_LIMITED = Fault("rate limited", lambda: web.Response(status=429, text="Too Many Requests"))
# docs/errors: "402 Payment Required: There is a lack of billing information or insufficient funds."
# The code is not documented.
INSUFFICIENT_FUNDS = error(402, "PAYMENT_REQUIRED", "insufficient funds")
# docs/errors: statuses 401, 500, 503.
UNAUTHORIZED = error(401, "APIKEY.INACTIVE", "This api key is no longer active.")
INTERNAL_ERROR = error(500, "INTERNAL_SERVER_ERROR", "an unexpected error")
UNAVAILABLE = error(503, "SERVICE_UNAVAILABLE", "a carrier is unavailable")
# What a proxy may return.
BAD_GATEWAY = Fault(
    "bad gateway", lambda: web.Response(status=502, text="<html>bad gateway</html>")
)
REQUEST_TIMEOUT = error(408, "REQUEST_TIMEOUT", "a proxy waited for too long")
CUT_OFF = Fault("cut off", lambda: web.Response(text="{", content_type="application/json"))
# Codes of the list of error codes, docs/errors. Their statuses are not documented.
POSTAGE_EXISTS = error(422, "SHIPMENT.POSTAGE.EXISTS", "the shipment has a label")
IN_PROGRESS = error(422, "SHIPMENT.PURCHASE.IN_PROGRESS", "another request buys the label")
NO_RESPONSE = error(422, "SHIPMENT.POSTAGE.NO_RESPONSE", "the carrier did not respond")
TIMED_OUT = error(422, "SHIPMENT.POSTAGE.TIMED_OUT", "the carrier did not respond in time")
POSTAGE_FAILURE = error(422, "SHIPMENT.POSTAGE.FAILURE", "the carrier refused")
# Not documented: a success that says nothing about a label.
NO_LABEL = Fault("no label", lambda: web.json_response({"id": "shp_1", "tracking_code": None}))
INVALID_ADDRESS = error(422, "ADDRESS.PARAMETERS.INVALID", "the address is not valid")
# docs/addresses, response to `verify_strict`.
UNVERIFIABLE = error(
    422,
    "ADDRESS.VERIFY.FAILURE",
    "Unable to verify address.",
    {"code": "E.ADDRESS.NOT_FOUND", "field": "address", "message": "…", "suggestion": None},
)
VERIFIER_UNAVAILABLE = error(422, "ADDRESS.VERIFY.UPSTREAM_UNAVAILABLE", "try again later")
# cassette test_error_alternative_format.
NOT_FOUND = error(404, "NOT_FOUND", "The requested resource could not be found.")

# docs/shipments/messages.
_NO_RATE = {"carrier": "UPS", "type": "rate_error", "message": "the parcel is too heavy"}


@dataclass(frozen=True)
class Received:
    """A request, as it arrived."""

    method: str
    path: str
    body: Any
    authorization: str


@dataclass
class FakeEasyPost:
    """`faults` are those of the next requests of a kind: `get`, `create`, `buy`, `refund`, …."""

    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    offers: list[tuple[str, str, str]] = field(default_factory=lambda: [USPS_EXPRESS, USPS_GROUND])
    rate_age: timedelta = timedelta(0)
    refund_status: str = "submitted"
    shipments: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _kinds: list[str] = field(default_factory=list)

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v2/addresses", self._handle("verify", self._verify))
        application.router.add_post("/v2/shipments", self._handle("create", self._create))
        application.router.add_get("/v2/shipments/{name}", self._handle("get", self._get))
        for action, do in (("buy", self._buy), ("refund", self._refund), ("rerate", self._rerate)):
            path = f"/v2/shipments/{{name}}/{action}"
            application.router.add_post(path, self._handle(action, do))
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v2"

    async def stop(self) -> None:
        self.released.set()
        await self._runner.cleanup()

    async def wait_for_requests(self, kind: str, number: int) -> None:
        """Wait until so many requests of this kind have arrived."""
        async with asyncio.timeout(20):
            while self.count(kind) < number:
                await asyncio.sleep(0.01)

    @property
    def labels(self) -> list[dict[str, Any]]:
        """The Shipments whose label is bought."""
        return [one for one in self.shipments.values() if one["tracking_code"]]

    def count(self, kind: str) -> int:
        """Return how many requests of this kind have arrived."""
        return self._kinds.count(kind)

    def track(self, status: str) -> None:
        """Set the status of every parcel."""
        for one in self.labels:
            one["tracker"]["status"] = status

    def _handle(
        self, kind: str, do: Callable[[str, Any], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            content = await request.read()
            body = json.loads(content) if content else None
            self.received.append(
                Received(
                    request.method, request.path, body, request.headers.get("Authorization", "")
                )
            )
            self._kinds.append(kind)
            fault = self.faults[kind].pop(0) if self.faults[kind] else Fault("none")
            if fault.response:
                return fault.response()
            if fault.delayed:
                await self.released.wait()
            response = do(request.match_info.get("name", ""), body)
            if fault.dropped and request.transport:
                request.transport.abort()
            return response

        return handle

    def _verify(self, _: str, body: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/addresses; cassette test_address_create_verify_strict."""
        address = {"id": f"adr_{uuid4().hex}", "object": "Address", **body["address"]}
        return web.json_response(address, status=201)

    def _create(self, _: str, body: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/shipments, Shipment object; cassette test_shipment_buy."""
        shipment_id = f"shp_{uuid4().hex}"
        self.shipments[shipment_id] = {
            "id": shipment_id,
            "object": "Shipment",
            "mode": "test",
            "status": "unknown",
            "tracking_code": None,
            "refund_status": None,
            "messages": [] if self.offers else [_NO_RATE],
            "rates": self._rates(shipment_id),
            "selected_rate": None,
            "postage_label": None,
            "tracker": None,
            **body["shipment"],
        }
        return web.json_response(self.shipments[shipment_id], status=201)

    def _get(self, name: str, _: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/easypost-objects: a reference may be used in place of an id, and is not unique."""
        for one in self.shipments.values():
            if name in {one["id"], one["reference"]}:
                return web.json_response(one)
        assert NOT_FOUND.response is not None
        return NOT_FOUND.response()

    def _buy(self, name: str, body: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/shipments, Buy a Shipment; cassette test_shipment_buy."""
        shipment = self.shipments[name]
        if shipment["tracking_code"]:
            assert POSTAGE_EXISTS.response is not None
            return POSTAGE_EXISTS.response()
        [rate] = [one for one in shipment["rates"] if one["id"] == body["rate"]["id"]]
        code = f"94{uuid4().int % 10**20:020}"
        shipment["selected_rate"] = rate
        shipment["tracking_code"] = code
        shipment["postage_label"] = {"object": "PostageLabel", "label_url": "https://…"}
        shipment["tracker"] = {
            "id": f"trk_{uuid4().hex}",
            "object": "Tracker",
            "tracking_code": code,
            "status": "unknown",
            "shipment_id": name,
            "carrier": rate["carrier"],
        }
        return web.json_response(shipment)

    def _refund(self, name: str, _: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/shipping-refund; cassette test_shipment_refund."""
        self.shipments[name]["refund_status"] = self.refund_status
        return web.json_response(self.shipments[name])

    def _rerate(self, name: str, _: Any) -> web.Response:  # noqa: ANN401 - as JSON
        """docs/rates; cassette test_shipment_regenerate_rates."""
        self.rate_age = timedelta(0)
        self.shipments[name]["rates"] = self._rates(name)
        return web.json_response({"rates": self.shipments[name]["rates"]})

    def _rates(self, shipment_id: str) -> list[dict[str, Any]]:
        """docs/rates, Rate object; cassette test_shipment_buy."""
        created_at = (datetime.now(UTC) - self.rate_age).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [
            {
                "id": f"rate_{uuid4().hex}",
                "object": "Rate",
                "created_at": created_at,
                "carrier": carrier,
                "service": service,
                "rate": price,
                "currency": "USD",
                "shipment_id": shipment_id,
            }
            for carrier, service, price in self.offers
        ]
