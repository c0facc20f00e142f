"""What is shown when the gateway responds with a problem, or not at all."""

from http import HTTPStatus

from fuze_client import FuzeError, NoResponseError, Problem, ProblemError


def to_problem(error: FuzeError) -> Problem:
    """Return the gateway's own words, or what is wrong with the connection to it."""
    match error:
        case ProblemError():
            return error.problem
        case NoResponseError():
            title, detail = (
                "The gateway does not respond",
                "Nothing is lost. Try again in a moment.",
            )
        case _:
            title, detail = "This is no gateway of Fuze", f"Check FUZE_GATEWAY_URL: {error}."
    return Problem(title=title, detail=detail, status=HTTPStatus.BAD_GATEWAY)


def is_unauthenticated(error: FuzeError) -> bool:
    """Return whether the credential is missing, revoked or expired."""
    return isinstance(error, ProblemError) and error.status == HTTPStatus.UNAUTHORIZED
