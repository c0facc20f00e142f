"""The application's services, built once at startup, and the dependencies of the endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, Request
from temporalio.client import Client
from temporalio.common import MetricHistogramFloat

from fuze_gateway.api_keys.authenticator import ApiKeyAuthenticator
from fuze_gateway.api_keys.commands import ApiKeyCommands
from fuze_gateway.api_keys.queries import ApiKeyQueries
from fuze_gateway.auth.authentication import Authenticator
from fuze_gateway.auth.oidc import OidcAuthenticator
from fuze_gateway.auth.principals import Principal
from fuze_gateway.auth.stream_tickets import StreamTickets
from fuze_gateway.database import Database
from fuze_gateway.orders.event_broadcaster import EventBroadcaster
from fuze_gateway.orders.event_feed import EventFeed
from fuze_gateway.orders.order_search import OrderSearch
from fuze_gateway.orders.ownership import OrderOwnership
from fuze_gateway.orders.queries import OrderQueries
from fuze_gateway.orders.workflow_client import OrderCommands
from fuze_gateway.orders.workflow_queries import WorkflowQueries
from fuze_gateway.payments.commands import RefundCommands
from fuze_gateway.payments.queries import PaymentQueries
from fuze_gateway.problems import errors, registry
from fuze_gateway.rate_limiter import RateLimiter, build_counter
from fuze_gateway.returns.commands import ReturnCommands
from fuze_gateway.returns.queries import ReturnQueries
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.tables import DATABASE_ACCESS
from fuze_gateway.task_queues.monitor import TaskQueueMonitor
from fuze_gateway.types import IdempotencyKey
from fuze_gateway.webhook_endpoints.commands import WebhookEndpointCommands
from fuze_gateway.webhook_endpoints.queries import WebhookEndpointQueries
from fuze_gateway.webhooks.commands import WebhookCommands
from fuze_runtime import health, metrics, temporal_check
from fuze_runtime.database_check import DatabaseCheck, DatabaseProblem


@dataclass(frozen=True, kw_only=True)
class AppServices:
    """Everything that the endpoints and the middleware use."""

    settings: GatewaySettings
    orders: OrderQueries
    order_search: OrderSearch
    order_commands: OrderCommands
    workflows: WorkflowQueries
    task_queues: TaskQueueMonitor
    ownership: OrderOwnership
    broadcaster: EventBroadcaster
    event_feed: EventFeed
    payments: PaymentQueries
    refund_commands: RefundCommands
    returns: ReturnQueries
    return_commands: ReturnCommands
    webhook_commands: WebhookCommands
    webhook_endpoints: WebhookEndpointQueries
    webhook_endpoint_commands: WebhookEndpointCommands
    api_keys: ApiKeyQueries
    api_key_commands: ApiKeyCommands
    authenticator: Authenticator
    stream_tickets: StreamTickets
    caller_limiter: RateLimiter
    failure_limiter: RateLimiter
    webhook_limiter: RateLimiter
    request_duration: MetricHistogramFloat
    read_gauges: metrics.Read
    check_temporal: health.CachedCheck[str]
    check_database: health.CachedCheck[DatabaseProblem]


def build_services(
    settings: GatewaySettings, database: Database, client: Client, http: httpx.AsyncClient
) -> AppServices:
    """Build the services on a database pool, a Temporal client and an HTTP client."""
    timeout = settings.read_timeout
    orders = OrderQueries(database)
    workflows = WorkflowQueries(client, timeout)
    api_keys = ApiKeyQueries(database)
    broadcaster = EventBroadcaster(
        orders,
        poll_interval=settings.stream_poll_interval,
        max_subscriptions=settings.max_streams,
        max_subscriptions_per_caller=settings.max_streams_per_caller,
    )

    async def read_gauges() -> Sequence[metrics.Reading]:
        streams = metrics.Reading(
            "fuze_event_streams_open", "Open event streams", broadcaster.subscriptions
        )
        return (*metrics.read_pool(database), streams)

    counter = build_counter(settings.rate_limit_storage.get_secret_value())
    return AppServices(
        settings=settings,
        orders=orders,
        order_search=OrderSearch(database, settings.cursor_signing_key),
        order_commands=OrderCommands(client, timeout),
        workflows=workflows,
        task_queues=TaskQueueMonitor(client, timeout, settings.queue_alert_after),
        ownership=OrderOwnership(orders, workflows, is_enforced=settings.ownership == "caller"),
        broadcaster=broadcaster,
        event_feed=EventFeed(
            database, broadcaster, settings.cursor_signing_key, settings.stream_poll_interval
        ),
        payments=PaymentQueries(database),
        refund_commands=RefundCommands(client, settings.refund_timeout),
        returns=ReturnQueries(database),
        return_commands=ReturnCommands(client, settings.refund_timeout),
        webhook_commands=WebhookCommands(client, timeout),
        webhook_endpoints=WebhookEndpointQueries(database, settings.cursor_signing_key),
        webhook_endpoint_commands=WebhookEndpointCommands(database),
        api_keys=api_keys,
        api_key_commands=ApiKeyCommands(database),
        authenticator=_build_authenticator(settings, api_keys, http),
        stream_tickets=StreamTickets(settings.cursor_signing_key),
        caller_limiter=RateLimiter("caller", settings.rate_limit, counter),
        failure_limiter=RateLimiter("failure", settings.failed_authentication_limit, counter),
        webhook_limiter=RateLimiter("webhook", settings.webhook_rate_limit, counter),
        request_duration=metrics.get_meter(client).create_histogram_float(
            "fuze_http_request_duration", "Time until the response begins", "seconds"
        ),
        read_gauges=read_gauges,
        check_temporal=health.CachedCheck(
            lambda: temporal_check.find_problem(client), health.TEMPORAL_CHECK_AGE
        ),
        check_database=health.CachedCheck(
            DatabaseCheck(DATABASE_ACCESS, database.open_connection).find_problem,
            health.DATABASE_CHECK_AGE,
        ),
    )


def _build_authenticator(
    settings: GatewaySettings, api_keys: ApiKeyQueries, http: httpx.AsyncClient
) -> Authenticator:
    if settings.authentication == "none":
        return Authenticator(api_keys=None, tokens=None)
    return Authenticator(
        api_keys=ApiKeyAuthenticator(
            api_keys,
            # A stream is authenticated again in each half, so that both together take the whole.
            cache_ttl=settings.api_key_cache_ttl / 2,
            accepts_development_keys=settings.environment != "production",
        ),
        tokens=OidcAuthenticator(settings, http) if settings.oidc_issuer else None,
    )


def get_services(request: Request) -> AppServices:
    """Return the services of the application that received a request."""
    services: AppServices = request.app.state.services
    return services


# The dependencies are coroutines: FastAPI calls a plain function in a thread.


async def _services(request: Request) -> AppServices:
    return get_services(request)


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _idempotency_key(request: Request, key: IdempotencyKey) -> str:
    """Return the key.

    Raises:
        RequestValidationError: the header was sent more than once, and proxies may differ in which
            one they use.

    """
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise errors.invalid_field(("header", "Idempotency-Key"), "must be sent once")
    return key


ServicesDependency = Annotated[AppServices, Depends(_services)]
PrincipalDependency = Annotated[Principal, Depends(_principal)]
IdempotencyKeyDependency = Annotated[str, Depends(_idempotency_key)]


async def require_json(request: Request) -> None:
    """Reject a body that is not declared as JSON; an empty body needs no content type.

    Raises:
        Problem: 415.

    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and await request.body():
        raise errors.Problem(registry.UNSUPPORTED_MEDIA_TYPE)
