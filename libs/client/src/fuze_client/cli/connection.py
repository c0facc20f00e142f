"""What all commands share: the connection to a gateway, and the exit code when a call fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click
import stamina.instrumentation
from stamina.instrumentation import RetryDetails

from fuze_client._sync.client import FuzeClient
from fuze_client.cli.output import make_printable
from fuze_client.cli.profiles import Profile, Profiles
from fuze_client.errors import FuzeError, NoResponseError, ProblemError

_RETRY_SECONDS = 20.0


class ExitCode(IntEnum):
    """What an exit code says. 1 is any other failure, or that you did not confirm."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    INVALID = 5
    DENIED = 6
    UNAVAILABLE = 7
    ENDED_OTHERWISE = 8


EXIT_CODES = """\b
Exit codes:
  0  done
  1  another failure, or you did not confirm
  2  the command line is wrong
  3  there is no such order, return, endpoint or message
  4  the state of the order or endpoint does not allow it (409)
  5  a field is invalid (400, 422)
  6  no valid credential, or one without permission (401, 403)
  7  the gateway is unavailable, did not respond, or limits your requests
  8  watch: the order ended, but was not shipped or completed
"""

_CODES = {
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.NOT_FOUND,
    408: ExitCode.UNAVAILABLE,
    409: ExitCode.CONFLICT,
    429: ExitCode.UNAVAILABLE,
}
_SERVER_ERRORS = 500


def get_exit_code(error: FuzeError) -> ExitCode:
    """Return the exit code of a command whose call failed."""
    match error:
        case NoResponseError():
            return ExitCode.UNAVAILABLE
        case ProblemError(status=status) if status >= _SERVER_ERRORS:
            return ExitCode.UNAVAILABLE
        case ProblemError(status=status):
            return _CODES.get(status, ExitCode.INVALID)
    return ExitCode.FAILED


def describe(error: FuzeError) -> str:
    """Return what failed, each invalid field, and what to do, as lines for people."""
    lines = [str(error)]
    if isinstance(error, ProblemError):
        lines += [
            f"  {'.'.join(map(str, field.loc))}: {field.message}" for field in error.problem.errors
        ]
        if error.is_repeat and error.status not in {429, 503}:
            lines.append("An earlier attempt had no result; it may have been executed.")
        if error.code == "unauthenticated":
            lines.append("Store a valid API key: fuze login")
        if error.problem.request_id:
            lines.append(f"({error.code}, request {error.problem.request_id})")
    return "\n".join(make_printable(line) for line in lines)


class ApiError(click.ClickException):
    """A call that failed, with the exit code that says how."""

    def __init__(self, error: FuzeError, advice: str = "") -> None:
        super().__init__("\n".join(filter(None, (describe(error), advice))))
        self.exit_code = get_exit_code(error)  # type: ignore[misc] # click reads it here


@contextmanager
def connect(profile: str | None, *, advice: str = "") -> Iterator[FuzeClient]:
    """Return a client of the profile's gateway; a call that fails ends the command.

    Args:
        profile: its name. Without one, `FUZE_URL` is used if it is set, and else the profile of the
            last login. `FUZE_API_KEY` is the credential of a gateway that has none stored.
        advice: what to do if it is unknown whether the request was executed.

    """
    stamina.instrumentation.set_on_retry_hooks([_print_retry])
    try:
        with create_client(profile, _RETRY_SECONDS) as fuze:
            yield fuze
    except FuzeError as error:
        is_unknown = get_exit_code(error) is ExitCode.UNAVAILABLE
        raise ApiError(error, advice if is_unknown else "") from None


def create_client(profile: str | None, retry_for: float) -> FuzeClient:
    """Return a client of the profile's gateway, or of the one that the environment names."""
    url = os.environ.get("FUZE_URL")
    chosen = Profile(url=url) if url and not profile else Profiles.load().get(profile)
    token = chosen.token or os.environ.get("FUZE_API_KEY")
    try:
        return FuzeClient(chosen.url, token=token, retry_for=retry_for)
    except ValueError as error:
        raise click.ClickException(f"{error}; set it: FUZE_URL, or fuze login") from None


def _print_retry(details: RetryDetails) -> None:
    click.echo(f"{details.caused_by}; trying again …", err=True)
