"""A client that means it: it asks until it has an answer, and writes down both."""

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from fuze_chaos.journal import Journal, Line

_GIVES_UP_AFTER_SECONDS = 150.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0
_ASK_AGAIN = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class Job:
    """One request: what it is for, and whom it is about.

    `identity` is what the server should recognise a repeat by; a `misuse` is another request under
    the same one.
    """

    what: str
    order_id: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = None
    identity: str | None = None
    misuse: bool = False


@dataclass
class Tally:
    """What the client has seen so far, for whoever watches."""

    answers: dict[str, int] = field(default_factory=dict)

    def count(self, answer: str) -> None:
        """Count one answer, or what came in its place."""
        self.answers[answer] = self.answers.get(answer, 0) + 1


class Caller:
    """Sends errands through the gateway at `http`'s base URL."""

    def __init__(self, http: httpx.AsyncClient, journal: Journal, tally: Tally) -> None:
        self._http = http
        self._journal = journal
        self._tally = tally
        self._numbers = itertools.count(1)

    async def ask(self, job: Job) -> httpx.Response | None:
        """Return the answer, asking again while there is none; None where it never came.

        A 503 and a 429 are no answers: they say when to ask again. Pauses grow, and no two clients
        pause alike: many that ask again at once would keep down what tries to get up.
        """
        deadline = time.monotonic() + _GIVES_UP_AFTER_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            answer = await self._ask_once(job)
            if answer is not None and answer.status_code not in _ASK_AGAIN:
                return answer
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def peek(self, path: str) -> dict[str, Any] | None:
        """Read once; None where it cannot be read now. Only a server's error leaves a trace."""
        at = time.time()
        try:
            answer = await self._http.get(path)
        except httpx.HTTPError:
            return None
        if answer.is_server_error:
            number = next(self._numbers)
            asked: Line = {"ask": number, "at": at, "what": "read", "order_id": _order_in(path)}
            await self._journal.write(asked | {"identity": None, "misuse": False})
            await self._write_answer(number, answer)
        return answer.json() if answer.is_success else None

    async def _ask_once(self, job: Job) -> httpx.Response | None:
        number = next(self._numbers)
        asked: Line = {
            "ask": number,
            "at": time.time(),
            "what": job.what,
            "order_id": job.order_id,
            "identity": job.identity,
            "misuse": job.misuse,
        }
        await self._journal.write(asked)
        headers = {"Idempotency-Key": job.key} if job.key else {}
        try:
            answer = await self._http.request(job.method, job.path, json=job.body, headers=headers)
        except httpx.HTTPError as error:
            self._tally.count(type(error).__name__)
            await self._journal.write(
                {"answer_to": number, "at": time.time(), "error": repr(error)}
            )
            return None
        await self._write_answer(number, answer)
        return answer

    async def _write_answer(self, number: int, answer: httpx.Response) -> None:
        self._tally.count(str(answer.status_code))
        await self._journal.write(
            {
                "answer_to": number,
                "at": time.time(),
                "status": answer.status_code,
                "retry_after": answer.headers.get("Retry-After"),
                "body": _json(answer),
            }
        )


def _order_in(path: str) -> str:
    return path.split("/")[2]


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever it holds
    try:
        return answer.json()
    except ValueError:
        return answer.text[:500]
