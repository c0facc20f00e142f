"""What the provider's and the carrier's HTTP faces have in common."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Response
from fastapi.responses import StreamingResponse

IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


def no_answer() -> Response:
    """Promise a body and cut the connection: what a caller sees when the reply is lost."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b""
        raise ConnectionAbortedError("the reply is lost, as was asked for")

    return StreamingResponse(nothing(), headers={"Content-Length": "1000"})
