"""What follows a confirmation: the command is sent, and the gateway's answer is shown."""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fuze_client import FuzeError, Problem
from fuze_console.context import ConsoleServices
from fuze_console.problems import is_unauthenticated, to_problem
from fuze_console.sessions import Session
from fuze_console.states import Action

CHANGED = {"HX-Trigger": "order-changed"}
"""The lists and the order on the page read themselves again."""


async def answer(  # noqa: PLR0913 - what every answer shows
    request: Request,
    services: ConsoleServices,
    session: Session,
    *,
    action: Action,
    command: Awaitable[BaseModel],
    back: tuple[str, str],
) -> Response:
    """Send a command, and show what the gateway answered.

    `back` is the title and the URL of the page to go on with, where the browser has no JavaScript.
    """
    problem: Problem | None = None
    answered: BaseModel | None = None
    try:
        answered = await command
    except FuzeError as error:
        if is_unauthenticated(error):
            raise
        problem = to_problem(error)
    response = services.renderer.render(
        request,
        "answer.html",
        session=session,
        status_code=problem.status if problem else HTTPStatus.OK,
        action=action,
        back=back,
        answer=answered,
        problem=problem,
    )
    response.headers.update(CHANGED)
    return response


def find_action(actions: Mapping[str, Action], name: str) -> Action:
    """Return an action by its name in the URL.

    Raises:
        HTTPException: 404, there is none.

    """
    if name not in actions:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return actions[name]


def get_text(form: FormData, field: str) -> str | None:
    """Return a field without the blanks around it; None where it is empty."""
    value = form.get(field)
    return (value.strip() or None) if isinstance(value, str) else None
