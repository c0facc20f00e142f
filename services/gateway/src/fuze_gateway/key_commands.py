"""API keys from the command line: the first one must come from somewhere."""

import argparse
import sys
from datetime import timedelta

from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.database import Database
from fuze_gateway.identity.api_keys import ApiKeys, TooManyKeysError
from fuze_gateway.identity.callers import Role, scopes_of
from fuze_runtime import cli
from fuze_runtime.settings import DatabaseSettings

_LIMIT = timedelta(seconds=10)
_MADE_BY = "command line"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Let a command line make, list and revoke keys."""
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    what = keys.add_subparsers(dest="what", required=True, metavar="what")
    create = what.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--client", required=True, help="whom it is for, as the events name them")
    create.add_argument("--role", required=True, choices=[role.value for role in Role])
    create.add_argument("--days", type=int, default=90, help="how long it lasts (%(default)s)")
    create.add_argument(
        "--development", action="store_true", help="a key that opens nothing in production"
    )
    create.add_argument(
        "--replace", action="store_true", help="revoke the client's other keys first"
    )
    what.add_parser("list", help="list every key, without secrets")
    revoke = what.add_parser("revoke", help="take a key back")
    revoke.add_argument("id", help="the 12 digits after fz_")


async def run(arguments: argparse.Namespace) -> None:
    """Do it, or end the process saying why not."""
    database = Database(cli.load_settings(DatabaseSettings), "fuze-gateway-keys", _LIMIT)
    keys = ApiKeys(database)
    try:
        match arguments.what:
            case "create":
                await _create(keys, arguments)
            case "list":
                await _list(keys)
            case "revoke" if not await keys.revoke(arguments.id):
                raise SystemExit(f"there is no live key {arguments.id}")
    except TooManyKeysError:
        raise SystemExit(
            f"{arguments.client} has two live keys: revoke one, or use --replace"
        ) from None
    except SourceUnavailableError as error:
        raise SystemExit(f"{error}; is it running, and is the schema migrated?") from None
    finally:
        await database.aclose()


async def _create(keys: ApiKeys, arguments: argparse.Namespace) -> None:
    if arguments.replace:
        await keys.revoke_all(arguments.client)
    text, _ = await keys.create(
        arguments.client,
        scopes_of([arguments.role]),
        lifetime=timedelta(days=arguments.days),
        created_by=_MADE_BY,
        is_development=arguments.development,
    )
    sys.stdout.write(f"{text}\n")


async def _list(keys: ApiKeys) -> None:
    for key in await keys.list():
        ended = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
        until = f"until {key.expires_at:%Y-%m-%d}"
        scopes = " ".join(sorted(key.scopes))
        sys.stdout.write(f"{key.id}  {key.client:<20}  {ended or until:<18}  {scopes}\n")
