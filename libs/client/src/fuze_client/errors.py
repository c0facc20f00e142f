"""What a call raises. Every error is a `FuzeError`."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

_TRANSIENT = frozenset({408, 429, 502, 503, 504})


class FuzeError(Exception):
    """A call failed; the message says how, and is for people."""


class NoResponseError(FuzeError):
    """No response arrived: no connection, or it broke, or the timeout passed.

    The request may have been executed. All are safe to repeat but those of webhooks that say so.
    """


class UnexpectedResponseError(FuzeError):
    """The response is not one of Fuze's API; the URL may be that of another server."""


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    model_config = ConfigDict(frozen=True)

    loc: tuple[str | int, ...]
    message: str


class Problem(BaseModel):
    """A problem (RFC 9457); what only one type has is in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    request_id: str | None = None
    errors: Sequence[FieldProblem] = ()
    required: Sequence[str] = ()


class ProblemError(FuzeError):
    """The API responded with a problem.

    `code` is the last part of its type, such as `order-not-found`; all are in
    docs/reference/problems.md. Branch on it, never on the text. `is_repeat`: an earlier attempt of
    the call had no response, so that the problem may be due to its success (an order that is
    `already-approved`).
    """

    def __init__(
        self, problem: Problem, *, retry_after: float | None = None, is_repeat: bool = False
    ) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.code = problem.type.rpartition("/")[2]
        self.status = problem.status
        self.retry_after = retry_after
        self.is_repeat = is_repeat

    @property
    def is_transient(self) -> bool:
        """Return whether the request may succeed when it is repeated."""
        return self.status in _TRANSIENT

    @property
    def extensions(self) -> dict[str, Any]:
        """Return the members that only this type of problem has."""
        return self.problem.model_extra or {}


def to_problem_error(response: httpx.Response, *, is_repeat: bool) -> ProblemError:
    """Return the error of a response above 399, whose body has been read.

    A proxy in front of the gateway responds in a format of its own.
    """
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        phrase = response.reason_phrase or HTTPStatus(response.status_code).phrase
        problem = Problem(title=phrase, status=response.status_code)
    try:
        retry_after = float(response.headers["Retry-After"])
    except (KeyError, ValueError):  # it can be a date, which Fuze does not send
        retry_after = None
    return ProblemError(problem, retry_after=retry_after, is_repeat=is_repeat)


def get_backoff(error: Exception, *, longest: float) -> bool | float:
    """Return whether to repeat a failed request, or the seconds to wait before that.

    A gateway that says to wait for more than `longest` seconds is not waited for.
    """
    match error:
        case NoResponseError() | ProblemError(is_transient=True, retry_after=None):
            return True
        case ProblemError(is_transient=True, retry_after=float(seconds)):
            return seconds if seconds <= longest else False
    return False
