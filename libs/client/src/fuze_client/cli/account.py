"""`fuze login`, `logout`, `profiles` and `completion`."""

import sys
from urllib.parse import urlsplit

import click
from click.shell_completion import get_completion_class

from fuze_client._sync.client import FuzeClient
from fuze_client._sync.transport import LOOPBACK
from fuze_client.cli.connection import EXIT_CODES, ApiError
from fuze_client.cli.options import complete_profile
from fuze_client.cli.output import print_line, print_table
from fuze_client.cli.profiles import LOCAL_URL, Profile, Profiles
from fuze_client.errors import FuzeError

_profile_option = click.option("--profile", default="default", show_default=True,
                               shell_complete=complete_profile, help="Its name.")  # fmt: skip


@click.command(epilog=EXIT_CODES)
@_profile_option
@click.option("--url", help="The gateway, such as https://fuze.example.")
@click.option("--with-token", is_flag=True, help="Read the API key from the standard input.")
def login(profile: str, url: str | None, *, with_token: bool) -> None:
    """Store a gateway and its API key as a profile, and use it from now on.

    The key is tried first: one that the gateway does not accept is not stored. An access token of
    the identity provider does as well, until it expires.

    \b
    fuze login --url https://fuze.example
    fuze login --url https://fuze.example --profile production --with-token < key.txt
    """  # noqa: D301 - click needs the backspace itself
    url = url or click.prompt("URL of the gateway", default=LOCAL_URL)
    if with_token:
        token = sys.stdin.read().strip()
    else:
        question = "API key (empty: authentication is off)"
        token = click.prompt(question, default="", show_default=False, hide_input=True)
    _try(url, token)
    stored = Profiles.load()
    stored.profiles[profile] = Profile(url=url, token=token or None)
    stored.current = profile
    path = stored.save()
    print_line(f"{url} is the profile {profile}, stored in {path}")
    address = urlsplit(url)
    if token and address.scheme == "http" and address.hostname not in LOOPBACK:
        click.echo("Warning: the key is sent unencrypted; use https.", err=True)


def _try(url: str, token: str) -> None:
    try:
        with FuzeClient(url, token=token or None, retry_for=0) as fuze:
            fuze.orders.get_page(limit=1)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    except FuzeError as error:
        raise ApiError(error, "Nothing was stored.") from None


@click.command()
@_profile_option
def logout(profile: str) -> None:
    """Delete a profile with its API key from this machine.

    The key stays valid: revoke it where it was created.
    """
    stored = Profiles.load()
    stored.get(profile)
    del stored.profiles[profile]
    if stored.current == profile:
        stored.current = None
    stored.save()
    print_line(f"deleted the profile {profile}")


@click.command()
@click.option("--use", shell_complete=complete_profile, help="Use this profile from now on.")
def profiles(use: str | None) -> None:
    """List the profiles; `*` is the one in use."""
    stored = Profiles.load()
    if use is not None:
        stored.get(use)
        stored.current = use
        stored.save()
    rows = [
        ("*" if name == stored.current else "", name, one.url, "yes" if one.token else "no")
        for name, one in sorted(stored.profiles.items())
    ]
    print_table(("", "profile", "url", "credential"), rows)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what completes commands, options, profiles and ids in your shell.

    \b
    bash:  echo 'eval "$(fuze completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(fuze completion zsh)"' >> ~/.zshrc
    fish:  fuze completion fish > ~/.config/fish/completions/fuze.fish
    """  # noqa: D301 - click needs the backspace itself
    root = context.find_root()
    name = root.info_name or "fuze"
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click does not support {shell}")
    click.echo(kind(root.command, {}, name, variable).source())
