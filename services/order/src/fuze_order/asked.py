"""A request to an order, and the answer that whoever sent it waits for."""

from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

Request = TypeVar("Request")


class Asked(Generic[Request]):
    """A request that waits for the order's life to come to it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._decided = False
        self._refusal: ApplicationError | None = None

    def accept(self) -> None:
        """Say yes: what was asked for is committed."""
        self._decided = True

    def refuse(self, why: str, sentence: str) -> None:
        """Say no; `why` is a type from contracts."""
        if not self._decided:
            self._decided, self._refusal = True, refusal(why, sentence)

    async def answer(self) -> None:
        """Return once it is accepted.

        Raises:
            ApplicationError: it was refused.

        """
        await workflow.wait_condition(lambda: self._decided)
        if self._refusal:
            raise self._refusal


def refusal(why: str, sentence: str) -> ApplicationError:
    """Return the error that refuses a request; `why` is a type from contracts."""
    return ApplicationError(sentence, type=why, non_retryable=True)
