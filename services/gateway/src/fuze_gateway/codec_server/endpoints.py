"""The endpoints of Temporal's remote codec protocol; only an operator may call them."""

from fastapi import APIRouter
from google.protobuf import json_format
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from temporalio.api.common.v1 import Payloads

from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.problems import registry
from fuze_gateway.problems.errors import Problem
from fuze_runtime.payload_encryption import EncryptionCodec, UndecryptablePayloadError


def build_router(payload_keys: SecretStr) -> APIRouter:
    """Return the endpoints `/codec/encode` and `/codec/decode` over these keys.

    The body and the response are Temporal's `Payloads` as JSON. They are no part of the gateway's
    own API, so its description does not list them.
    """
    router = APIRouter(prefix="/codec", route_class=ScopedRoute)
    codec = EncryptionCodec(payload_keys)
    is_for_operators = requires(Scope.ORDERS_OPERATE)

    @router.post("/encode", include_in_schema=False, openapi_extra=is_for_operators)
    async def encode(request: Request) -> Response:
        payloads = await _read(request)
        return _to_response(Payloads(payloads=await codec.encode(payloads.payloads)))

    @router.post("/decode", include_in_schema=False, openapi_extra=is_for_operators)
    async def decode(request: Request) -> Response:
        payloads = await _read(request)
        try:
            decoded = await codec.decode(payloads.payloads)
        except UndecryptablePayloadError as error:
            raise Problem(registry.MALFORMED_BODY, str(error)) from None
        return _to_response(Payloads(payloads=decoded))

    return router


async def _read(request: Request) -> Payloads:
    try:
        return json_format.Parse(await request.body(), Payloads())
    except (json_format.ParseError, UnicodeDecodeError):
        detail = "The body must be the JSON of temporal.api.common.v1.Payloads."
        raise Problem(registry.MALFORMED_BODY, detail) from None


def _to_response(payloads: Payloads) -> Response:
    return Response(json_format.MessageToJson(payloads), media_type="application/json")
