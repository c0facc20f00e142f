"""Requests over HTTP: credentials, retries, problems."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
import stamina
from pydantic import BaseModel, ValidationError

from fuze_client.errors import (
    NoResponseError,
    UnexpectedResponseError,
    get_backoff,
    to_problem_error,
)

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | UUID, ...]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT = httpx.Timeout(40, connect=5)  # the gateway limits a write to 30 s


class Transport:
    """One gateway, one credential; a request is repeated for up to `retry_for` seconds."""

    def __init__(
        self, base_url: str, token: str | None, retry_for: float, http: httpx.Client | None
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"{base_url!r} is not a URL such as https://fuze.example")
        self._base_url = base_url.rstrip("/")
        self._credential = {"Authorization": f"Bearer {token}"} if token else {}
        self._retry_for = retry_for
        url = httpx.URL(base_url)
        self._http = http or httpx.Client(
            timeout=_TIMEOUT,
            verify=url.scheme == "https",  # loading certificates takes long
            trust_env=url.host not in LOOPBACK,  # no proxy reaches this machine
        )
        self._owns_http = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they belong to the caller."""
        if self._owns_http:
            self._http.close()

    def get(self, path: Path, model: type[Model], params: Mapping[str, Any] | None = None) -> Model:
        """Return the response to a GET."""
        return self._request("GET", path, model, params=params)

    def post(
        self,
        path: Path,
        model: type[Model],
        body: BaseModel | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        is_repeatable: bool = True,
    ) -> Model:
        """Return the response to a POST; one that is not repeatable is sent once."""
        key = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._request(
            "POST", path, model, json=_to_json(body), headers=key, is_repeatable=is_repeatable
        )

    def put(self, path: Path, model: type[Model], body: BaseModel | Mapping[str, Any]) -> Model:
        """Return the response to a PUT."""
        return self._request("PUT", path, model, json=_to_json(body))

    def patch(self, path: Path, model: type[Model], body: BaseModel | Mapping[str, Any]) -> Model:
        """Return the response to a PATCH."""
        return self._request("PATCH", path, model, json=_to_json(body))

    def delete(self, path: Path) -> None:
        """Send a DELETE. Repeated without a response, what it has deleted is not found."""
        self._send("DELETE", path, headers=self._credential)

    def open_stream(
        self, path: Path, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return a response whose body is not read; the caller closes it.

        With a ticket in the parameters no other credential is sent.
        """
        credential = {} if "ticket" in params else self._credential
        accepted = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return self._send(
            "GET", path, params=params, headers=credential | accepted | dict(headers), stream=True
        )

    def _request(
        self,
        method: str,
        path: Path,
        model: type[Model],
        *,
        headers: Mapping[str, str] | None = None,
        **content: Any,  # noqa: ANN401 - httpx's
    ) -> Model:
        sent = self._credential | dict(headers or {})
        response = self._send(method, path, headers=sent, **content)
        return parse(model, response.content, response.url)

    def _send(
        self,
        method: str,
        path: Path,
        *,
        headers: Mapping[str, str],
        stream: bool = False,
        is_repeatable: bool = True,
        **content: Any,  # noqa: ANN401 - httpx's
    ) -> httpx.Response:
        """Send a request until it has a response that is not transient; raise its problem."""
        url = "/".join((self._base_url, *(quote(str(part), safe="") for part in path)))
        request = self._http.build_request(method, url, headers=headers, **content)
        retry_for = self._retry_for if is_repeatable else 0
        for attempt in stamina.retry_context(
            partial(get_backoff, longest=retry_for),
            attempts=None if retry_for else 1,
            timeout=retry_for or None,
            wait_jitter=0.3,
        ):
            with attempt:
                try:
                    response = self._http.send(request, stream=stream)
                    if response.is_error:
                        response.read()
                except httpx.TransportError as error:
                    raise NoResponseError(
                        f"{self._base_url} did not respond: {str(error) or type(error).__name__}"
                    ) from error
                if response.is_error:
                    raise to_problem_error(response, is_repeat=attempt.num > 1)
                return response
        raise AssertionError("the loop returns or raises")


def parse(model: type[Model], content: bytes | str, url: httpx.URL) -> Model:
    """Return a part of a response as a model.

    Raises:
        UnexpectedResponseError: it does not have the model's shape.

    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise UnexpectedResponseError(
            f"the response of {url.copy_with(query=None)} is no {model.__name__} of Fuze's API"
        ) from error


def to_query(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return query parameters; what is None is left out."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in filters.items()
        if value is not None
    }


def _to_json(body: BaseModel | Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - JSON
    if isinstance(body, BaseModel):
        return body.model_dump(mode="json", exclude_unset=True)
    if body is None:
        return None
    return {name: value for name, value in body.items() if value is not None}
