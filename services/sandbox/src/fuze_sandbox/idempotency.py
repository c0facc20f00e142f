"""Creating records under idempotency keys, and every fault that this can have."""

import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Header, HTTPException, Response
from fastapi.responses import StreamingResponse

from fuze_sandbox.fault_profile import Fault, FaultInjector
from fuze_sandbox.store import KeyReusedError, Record, SandboxStore

IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]

_SLOW_SECONDS = 3.0
_RETRY_AFTER = {"Retry-After": "1"}


class IdempotentWriter:
    """Creates the records of one collection, once per idempotency key."""

    def __init__(self, collection: str, store: SandboxStore, injector: FaultInjector) -> None:
        self._collection = collection
        self._store = store
        self._injector = injector
        self._in_flight: set[str] = set()
        self._seen: set[str] = set()

    def find(self, key: str, request: Record) -> Record | None:
        """Return the record that an earlier request with this key created.

        Raises:
            HTTPException: 409, the key was used before with another request.

        """
        profile = self._injector.profile
        if not profile.idempotency_enabled:
            return None
        try:
            return self._store.find_by_key(
                self._collection,
                key,
                request,
                key_ttl_seconds=profile.idempotency_key_ttl_seconds,
            )
        except KeyReusedError:
            raise HTTPException(409, "the key was used before with another request") from None

    def create(
        self,
        key: str,
        request: Record,
        fields: Record,
        fault: Fault | None,
        response: Response,
    ) -> Response | Record:
        """Create a record, or return the one that the key created before, unless `fault` strikes.

        A replay sets the header `Idempotent-Replayed` of `response`.

        Raises:
            HTTPException: the fault's status; 409 for a key that was used before with another
                request, or whose request is in flight.

        """
        if known := self.find(key, request):
            response.headers["Idempotent-Replayed"] = "true"
            return known
        is_first = key not in self._seen
        self._seen.add(key)
        profile = self._injector.profile
        may_repeat = is_first or not profile.idempotency_enabled

        def write() -> Record:
            unique_key = key if profile.idempotency_enabled else f"{key}/{time.time_ns()}"
            return self._store.create(
                self._collection,
                unique_key,
                request,
                fields,
                key_ttl_seconds=profile.idempotency_key_ttl_seconds,
            ).record

        match fault:
            case "error":
                raise HTTPException(500, "an error was injected")
            case "error_once" if is_first:
                raise HTTPException(500, "an error was injected")
            case "rate_limited" if is_first:
                raise HTTPException(429, "too many requests", headers=_RETRY_AFTER)
            case "delayed_commit" if may_repeat:
                self._write_later(key, write)
                return drop_response()
            case "response_dropped" if may_repeat:
                write()
                return drop_response()
            case "slow":
                time.sleep(_SLOW_SECONDS)
            case _:
                pass
        if key in self._in_flight:
            raise HTTPException(409, "a request with this key is in flight", headers=_RETRY_AFTER)
        return write()

    def _write_later(self, key: str, write: Callable[[], Record]) -> None:
        profile = self._injector.profile

        def commit() -> None:
            write()
            self._in_flight.discard(key)

        if profile.idempotency_enabled:
            self._in_flight.add(key)
        timer = threading.Timer(profile.commit_delay_seconds, commit)
        timer.daemon = True
        timer.start()


def drop_response() -> Response:
    """Return a response that announces a body and closes the connection instead of sending it."""

    async def no_body() -> AsyncIterator[bytes]:
        yield b""
        raise ConnectionAbortedError("response dropped by the fault profile")

    return StreamingResponse(no_body(), headers={"Content-Length": "1000"})
