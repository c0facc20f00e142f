"""`fuze recover`: recover every order that is flagged as without a workflow."""

import itertools
from pathlib import Path
from typing import Literal

import click

from fuze_client import FuzeClient, FuzeError
from fuze_client.models import BulkResult
from fuze_devstack.errors import StackError
from fuze_devstack.state import StackFile, state_folder
from fuze_devstack.terminal import console, state_option

_BATCH_SIZE = 50
_RUNS_AGAIN = "/problems/workflow-running"


@click.command()
@state_option
@click.option("--url", help="The gateway of another deployment.  [default: that of the stack]")
@click.option("--api-key", envvar="FUZE_API_KEY", help="An operator's API key.  [$FUZE_API_KEY]")
@click.option("--then", type=click.Choice(["continue", "cancel"]), default="continue",
              show_default=True, help="Continue the orders, or cancel them.")  # fmt: skip
@click.option("--actor", help="Who recovers them; recorded in their events.")
@click.option("--reason", help="Why they are cancelled.")
@click.option("--limit", type=click.IntRange(min=1), default=10_000, show_default=True,
              help="Number of orders, at most.")  # fmt: skip
def recover(  # noqa: PLR0913, PLR0917 - each is an option
    state: Path | None,
    url: str | None,
    api_key: str | None,
    then: Literal["continue", "cancel"],
    actor: str | None,
    reason: str | None,
    limit: int,
) -> None:
    """Recover all orders without a workflow; exit with 1 when one was not recovered.

    The scheduled comparison flags them. Each order has a line: recovered, or why not. The command
    is safe to repeat, and to interrupt.
    """
    url = url or StackFile(state_folder(state)).read()["gateway"]["url"]
    done = failed = 0
    try:
        with FuzeClient(url, token=api_key) as fuze:
            listed = fuze.orders.list(needs_attention=True, sort="created_at")
            flagged = (one.order_id for one in listed if one.workflow_missing_at)
            limited = itertools.islice(flagged, limit)
            while batch := list(itertools.islice(limited, _BATCH_SIZE)):
                found = fuze.orders.recover_many(batch, then=then, reason=reason, actor=actor)
                failed += sum(not _report(one) for one in found.results)
                done += len(found.results)
                console.print(f"[dim]{done} orders, {failed} not recovered[/dim]")
    except FuzeError as error:
        raise StackError(f"{url}: {error}; repeat the command, which is safe") from None
    if not done:
        console.print("no order is flagged as without a workflow")
    raise SystemExit(1 if failed else 0)


def _report(result: BulkResult) -> bool:
    """Print what happened to an order, and return whether its workflow runs now."""
    problem = result.problem
    if problem is None:
        status = result.order.status if result.order else ""
        outcome = f"[green]recovered[/green]  {status}"
    elif problem.type == _RUNS_AGAIN:
        outcome = "[green]runs again[/green]"
    else:
        outcome = f"[red]not recovered[/red]  {problem.detail}"
    console.print(f"{result.order_id}  {outcome}")
    return problem is None or problem.type == _RUNS_AGAIN
