"""Idempotency of placing an order: the order id of a key, the fingerprint, replay detection."""

import asyncio
import hashlib
import hmac
import json
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from pydantic import SecretStr

from fuze_contracts.order import PlaceOrder
from fuze_contracts.payment import default_payment_token
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.app_services import AppServices
from fuze_gateway.auth.principals import Principal
from fuze_gateway.orders.order_validation import find_errors, require_chargeable
from fuze_gateway.orders.recovery import recover_if_missing
from fuze_gateway.orders.schemas.addresses import (
    CompleteAddressRequest,
    keep_spelling,
    normalize_addresses,
)
from fuze_gateway.orders.schemas.orders import PlaceOrderRequest
from fuze_gateway.problems import errors
from fuze_gateway.problems.errors import Problem
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.upstreams import UpstreamUnavailableError, database_timeout, temporal_timeout
from fuze_runtime import tracing

# Version 8 of RFC 9562, for ids that are computed in a way of one's own.
_VERSION_MASK, _VERSION = 0xF << 76, 8 << 76
_VARIANT_MASK, _VARIANT = 0b11 << 62, 0b10 << 62


def get_order_id(principal: Principal, idempotency_key: str, secret: SecretStr) -> UUID:
    """Return the order id of a caller's idempotency key: a UUID v8, the HMAC of both.

    It cannot be guessed without the secret.
    """
    # Neither part can contain NUL.
    message = f"{principal.id or ''}\0{idempotency_key}".encode()
    digest = hmac.digest(secret.get_secret_value().encode(), message, "sha256")
    value = int.from_bytes(digest[:16])
    value = value & ~_VERSION_MASK | _VERSION
    return UUID(int=value & ~_VARIANT_MASK | _VARIANT)


def build_place_order(
    order_id: UUID, request: PlaceOrderRequest, settings: GatewaySettings, principal: Principal
) -> PlaceOrder:
    """Return the workflow input of a request, with the defaults of this gateway.

    Raises:
        RequestValidationError: with every field that is wrong. A repeated request has the same
            answer.

    """
    given = {"address": request.address, "billing_address": request.billing_address}
    requests: dict[str, CompleteAddressRequest] = {
        field: address for field, address in given.items() if address
    }
    addresses, wrong = normalize_addresses(requests, settings.required_of_addresses)
    entered = {
        f"entered_{field}": keep_spelling(requests[field], address)
        for field, address in addresses.items()
    }
    token = request.payment_token or default_payment_token(order_id, 1)
    order = PlaceOrder(
        order_id=order_id,
        fingerprint=_fingerprint(order_id, request, token),
        reference=request.reference,
        customer=request.customer,
        customer_email=request.customer_email,
        customer_name=request.customer_name,
        metadata=request.metadata,
        lines=tuple(line.to_message() for line in request.lines),
        adjustments=tuple(adjustment.to_message() for adjustment in request.adjustments),
        currency=request.currency,
        payment_method=request.payment_method,
        payment_token=token,
        approval_timeout=settings.approval_timeout,
        payment_method_timeout=settings.payment_method_timeout,
        approval_reminder_before=settings.approval_reminder_before,
        address_timeout=settings.address_timeout,
        step_failure_alert_after=settings.step_failure_alert_after,
        delivery_tracking_period=settings.delivery_tracking_period,
        auto_approve_limit=settings.auto_approve_limits.get(request.currency),
        placed_by=principal.name,
        owner=principal.id,
        four_eyes=settings.four_eyes,
        search_attributes=settings.search_attributes,
        trace_id=tracing.get_trace_id(),
        **addresses,
        **entered,
    )
    wrong += find_errors(order, request)
    if wrong:
        raise errors.invalid_fields(wrong)
    return order


async def start_or_replay(
    order: PlaceOrder, services: AppServices, principal: Principal, conflict: Problem
) -> bool:
    """Start the order; return False if the request is a replay of the one that started it.

    The replay of an open order whose workflow is missing recovers it.

    The row is read first, because it outlives the workflow's retention in Temporal. Without
    PostgreSQL, Temporal alone rejects duplicates within its retention. PostgreSQL gets half of
    `read_timeout`, so that both together take no longer than one upstream may.

    Raises:
        Problem: the id was used with a different request, or for an order to which the caller has
            no access; raises `conflict`.
        RequestValidationError: the order is new, and the payment provider cannot charge its total.
        UpstreamUnavailableError: Temporal is unavailable.

    """
    timeout = services.settings.read_timeout
    started_at = asyncio.get_running_loop().time()
    try:
        async with database_timeout(timeout / 2):
            earlier = await services.orders.get_fingerprint(order.order_id)
    except UpstreamUnavailableError:
        earlier = None
    is_recorded = earlier is not None
    if earlier is None:
        require_chargeable(order, services.settings.payment_provider)
        elapsed = timedelta(seconds=asyncio.get_running_loop().time() - started_at)
        async with temporal_timeout(timeout - elapsed):
            is_new = await services.order_commands.start(order)
        if is_new:
            return True
        earlier = await services.workflows.get_fingerprint(order_workflow_id(order.order_id))
    if earlier != order.fingerprint:
        raise conflict
    try:
        await services.ownership.require_access(principal, order.order_id)
    except Problem:
        raise conflict from None
    if is_recorded:
        await _recover_if_missing(order, services, principal)
    return False


async def _recover_if_missing(
    order: PlaceOrder, services: AppServices, principal: Principal
) -> None:
    """Recover an order whose workflow is missing; its row is an acceptance all the same."""
    with suppress(UpstreamUnavailableError, Problem):  # ended or recovered in the meantime
        await recover_if_missing(order.order_id, services, principal.actor_name(None))


def _fingerprint(order_id: UUID, request: PlaceOrderRequest, token: str) -> str:
    """Return a digest of the request that does not depend on how the caller formatted it.

    Defaults are excluded, so that a field which a later version adds does not change the
    fingerprint of a request without it.
    """
    fields = request.model_dump(mode="json", exclude_defaults=True)
    fields |= {"order_id": str(order_id), "payment_token": token}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
