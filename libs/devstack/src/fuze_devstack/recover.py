"""`fuze recover`: recover every order that is flagged as without a workflow."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx

from fuze_devstack.errors import StackError
from fuze_devstack.state import StackFile, state_folder
from fuze_devstack.terminal import console, state_option

_BATCH_SIZE = 50
_TIMEOUT_SECONDS = 60
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
def recover(
    state: Path | None, url: str | None, api_key: str | None, limit: int, **request: str | None
) -> None:
    """Recover all orders without a workflow; exit with 1 when one was not recovered.

    The scheduled comparison flags them. Each order has a line: recovered, or why not. The command
    is safe to repeat, and to interrupt.
    """
    url = url or StackFile(state_folder(state)).read()["gateway"]["url"]
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    done = failed = 0
    try:
        with httpx.Client(
            base_url=url,
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
            trust_env=url.startswith("https"),
        ) as http:
            flagged = itertools.islice(_list_flagged(http), limit)
            while batch := list(itertools.islice(flagged, _BATCH_SIZE)):
                results = _send(http, batch, request)
                failed += sum(not _report(one) for one in results)
                done += len(results)
                console.print(f"[dim]{done} orders, {failed} not recovered[/dim]")
    except httpx.HTTPError as error:
        raise StackError(f"{url}: {error}; repeat the command, which is safe") from None
    if not done:
        console.print("no order is flagged as without a workflow")
    raise SystemExit(1 if failed else 0)


def _list_flagged(http: httpx.Client) -> Iterator[str]:
    query = {"needs_attention": "true", "sort": "created_at", "limit": "200"}
    while True:
        page = _check(http.get("/orders", params=query)).json()
        yield from (one["order_id"] for one in page["orders"] if one["workflow_missing_at"])
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


def _send(
    http: httpx.Client, order_ids: list[str], request: dict[str, str | None]
) -> list[dict[str, Any]]:
    body = {"order_ids": order_ids, **{name: value for name, value in request.items() if value}}
    results: list[dict[str, Any]] = _check(http.post("/orders/bulk/recover", json=body)).json()[
        "results"
    ]
    return results


def _check(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise StackError(f"{response.url}: {response.status_code} {response.text[:200]}")


def _report(result: dict[str, Any]) -> bool:
    """Print what happened to an order, and return whether its workflow runs now."""
    problem = result["problem"]
    if problem is None:
        outcome = f"[green]recovered[/green]  {result['order']['status']}"
    elif problem["type"] == _RUNS_AGAIN:
        outcome = "[green]runs again[/green]"
    else:
        outcome = f"[red]not recovered[/red]  {problem['detail']}"
    console.print(f"{result['order_id']}  {outcome}")
    return problem is None or problem["type"] == _RUNS_AGAIN
