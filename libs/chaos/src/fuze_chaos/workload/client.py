"""The workload's HTTP client: it retries until it has a response, and logs both."""

import itertools
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx
import stamina

from fuze_chaos.workload.request_log import Line, RequestLog

_TIMEOUT_SECONDS = 150.0
_FIRST_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 8.0
_RETRYABLE = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: its operation, the order that it is about, and what is sent.

    `identity` is what the server must recognise a repeat by. A request with `is_key_reuse` sends a
    different body under the same identity.
    """

    operation: str
    order_id: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    idempotency_key: str | None = None
    identity: str | None = None
    is_key_reuse: bool = False


@dataclass
class ResponseCounts:
    """Responses by status code, and transport errors by type, for the progress display."""

    by_kind: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str) -> None:
        """Count one response or error."""
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1


class _NoFinalResponseError(Exception):
    """There was no response, or a 503 or 429, which ask for a retry."""


class WorkloadClient:
    """Sends requests through the gateway at the base URL of `http`."""

    def __init__(self, http: httpx.AsyncClient, log: RequestLog, counts: ResponseCounts) -> None:
        self._http = http
        self._log = log
        self._counts = counts
        self._numbers = itertools.count(1)

    async def send(self, request: Request) -> httpx.Response | None:
        """Return the response, retrying until there is one; None after 150 s without.

        A 503 and a 429 are retried. The backoff grows and has jitter: synchronised retries would
        overload a server that is about to recover.
        """
        retries = stamina.retry_context(
            on=_NoFinalResponseError,
            attempts=None,
            timeout=_TIMEOUT_SECONDS,
            wait_initial=_FIRST_BACKOFF_SECONDS,
            wait_max=_MAX_BACKOFF_SECONDS,
        )
        try:
            async for attempt in retries:
                with attempt:
                    return await self._send_once(request)
        except _NoFinalResponseError:
            pass
        return None

    async def read(self, path: str) -> dict[str, Any] | None:
        """Read once; None if it fails. Only a server error is logged."""
        at = time.time()
        try:
            response = await self._http.get(path)
        except httpx.HTTPError:
            return None
        if response.is_server_error:
            number = next(self._numbers)
            line: Line = {
                "request": number,
                "at": at,
                "operation": "read",
                "order_id": _order_id_in(path),
                "identity": None,
                "is_key_reuse": False,
            }
            await self._log.write(line)
            await self._log_response(number, response)
        return response.json() if response.is_success else None

    async def _send_once(self, request: Request) -> httpx.Response:
        number = next(self._numbers)
        line: Line = {
            "request": number,
            "at": time.time(),
            "operation": request.operation,
            "order_id": request.order_id,
            "identity": request.identity,
            "is_key_reuse": request.is_key_reuse,
        }
        await self._log.write(line)
        key = request.idempotency_key
        try:
            response = await self._http.request(
                request.method,
                request.path,
                json=request.body,
                headers={"Idempotency-Key": key} if key else {},
            )
        except httpx.HTTPError as error:
            self._counts.add(type(error).__name__)
            await self._log.write({"response_to": number, "at": time.time(), "error": repr(error)})
            raise _NoFinalResponseError from error
        await self._log_response(number, response)
        if response.status_code in _RETRYABLE:
            raise _NoFinalResponseError
        return response

    async def _log_response(self, number: int, response: httpx.Response) -> None:
        self._counts.add(str(response.status_code))
        await self._log.write(
            {
                "response_to": number,
                "at": time.time(),
                "status": response.status_code,
                "retry_after": response.headers.get("Retry-After"),
                "body": _parse_body(response),
            }
        )


def _order_id_in(path: str) -> str:
    return path.split("/")[2]


def _parse_body(response: httpx.Response) -> Any:  # noqa: ANN401 - any JSON
    try:
        return response.json()
    except ValueError:
        return response.text[:500]
