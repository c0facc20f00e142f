"""`python -m fuze_gateway api-keys`: the first API key is created from the command line."""

import argparse
import sys
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from fuze_gateway.api_keys.commands import ApiKeyCommands, TooManyKeysError
from fuze_gateway.api_keys.queries import ApiKeyQueries
from fuze_gateway.auth.principals import Role, get_scopes
from fuze_gateway.database import Database
from fuze_gateway.types import ClientName
from fuze_gateway.upstreams import UpstreamUnavailableError
from fuze_runtime import cli
from fuze_runtime.settings import DatabaseSettings

_TIMEOUT = timedelta(seconds=10)
_CREATED_BY = "command line"
_CLIENT_NAME: TypeAdapter[str] = TypeAdapter(ClientName)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `api-keys create`, `list` and `revoke` to a command line."""
    api_keys = commands.add_parser("api-keys", help="create, list and revoke API keys")
    actions = api_keys.add_subparsers(dest="action", required=True, metavar="action")
    create = actions.add_parser("create", help="create a key and print it, once")
    create.add_argument(
        "--client", required=True, type=_parse_client, help="the caller's name in order events"
    )
    create.add_argument("--role", required=True, choices=[role.value for role in Role])
    create.add_argument(
        "--expires-in-days", type=int, default=90, help="lifetime in days (%(default)s)"
    )
    create.add_argument(
        "--development", action="store_true", help="a key that is rejected in production"
    )
    create.add_argument(
        "--replace", action="store_true", help="revoke the client's other keys first"
    )
    actions.add_parser("list", help="list every key, without secrets")
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id", help="the 12 digits after fz_")


def _parse_client(text: str) -> str:
    try:
        return _CLIENT_NAME.validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(error.errors()[0]["msg"]) from None


async def run(arguments: argparse.Namespace) -> None:
    """Run the action, or exit with the reason why it failed."""
    database = Database(cli.load_settings(DatabaseSettings), "fuze-gateway-api-keys", _TIMEOUT)
    commands = ApiKeyCommands(database)
    try:
        match arguments.action:
            case "create":
                await _create(commands, arguments)
            case "list":
                await _list(ApiKeyQueries(database))
            case "revoke" if not await commands.revoke(arguments.id):
                raise SystemExit(f"no active API key has the id {arguments.id}")
    except TooManyKeysError:
        raise SystemExit(
            f"{arguments.client} has two active keys: revoke one, or use --replace"
        ) from None
    except UpstreamUnavailableError as error:
        raise SystemExit(f"{error}: start it, or migrate the schema") from None
    finally:
        await database.aclose()


async def _create(commands: ApiKeyCommands, arguments: argparse.Namespace) -> None:
    if arguments.replace:
        await commands.revoke_all(arguments.client)
    key, _ = await commands.create(
        arguments.client,
        get_scopes([arguments.role]),
        lifetime=timedelta(days=arguments.expires_in_days),
        created_by=_CREATED_BY,
        is_development=arguments.development,
    )
    sys.stdout.write(f"{key}\n")


async def _list(queries: ApiKeyQueries) -> None:
    for key in await queries.list_all():
        revoked = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
        expires = f"expires {key.expires_at:%Y-%m-%d}"
        scopes = " ".join(sorted(key.scopes))
        sys.stdout.write(f"{key.id}  {key.client:<20}  {revoked or expires:<18}  {scopes}\n")
