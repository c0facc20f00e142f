"""The client and the commands of `fuze` against a running stack."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from stack_client import TEAPOTS, StackClient, eventually

from fuze_client import AsyncFuzeClient, ProblemError
from fuze_client.cli.main import main
from fuze_client.requests import PlaceOrderRequest

_PAGE = Path(__file__).parents[1] / "docs/reference/command-line.md"
_PLACE = (
    *("orders", "place", "--line", "TEAPOT-1", "3", "1999", "--postal-code", "10001"),
    *("--payment-method", "pm_card_visa"),
)


class Terminal:
    """Runs commands of `fuze` for the gateway of the stack."""

    def __init__(self, stack: StackClient) -> None:
        self._environment = {"FUZE_URL": stack.connection_info["gateway"]["url"]}

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        done = CliRunner().invoke(main, list(arguments), env=self._environment)
        assert done.exit_code == exit_code, done.output
        return done.stdout

    def run_json(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what a command prints with --json."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]


@pytest.fixture
def terminal(stack: StackClient) -> Terminal:
    return Terminal(stack)


def test_an_order_is_operated_from_its_placement_to_its_return(terminal: Terminal) -> None:
    reference = "from-the-command-line"
    [placed] = terminal.run_json(*_PLACE, "--reference", reference)
    order_id = placed["order_id"]
    terminal.run("orders", "watch", order_id, "--until", "awaiting_approval")
    [waiting] = terminal.run_json("orders", "list", "--reference", reference)
    terminal.run("orders", "approve", order_id, "--actor", "grace")
    timeline = terminal.run("orders", "watch", order_id)
    refund = ("orders", "refund", order_id, "--amount-minor", "999", "--reason", "late", "--yes")
    terminal.run(*refund)
    [requested] = terminal.run_json("returns", "request", order_id, "--line", "1", "1")
    terminal.run("returns", "approve", order_id, requested["return_id"])
    terminal.run("returns", "receive", order_id, requested["return_id"])

    def is_refunded() -> bool:
        [found] = terminal.run_json("returns", "list", order_id)
        return bool(found["status"] == "refunded")

    eventually(is_refunded, "the return is refunded")
    assert waiting["status"] == "awaiting_approval"
    assert "order_approved" in timeline
    assert "order_shipped" in timeline
    shown = terminal.run("orders", "show", order_id)
    assert "59.97 USD" in shown
    assert "grace" in shown
    payments = terminal.run("payments", "list", order_id)
    assert "9.99 USD" in payments
    assert terminal.run("orders", "cancel", order_id, "--yes", exit_code=4) == ""


def test_an_order_that_was_cancelled_ends_a_watch_with_its_exit_code(terminal: Terminal) -> None:
    [placed] = terminal.run_json(*_PLACE)
    terminal.run("orders", "watch", placed["order_id"], "--until", "awaiting_approval")

    terminal.run("orders", "cancel", placed["order_id"], "--reason", "by mistake", "--yes")

    terminal.run("orders", "watch", placed["order_id"], exit_code=8)


def test_an_order_placed_while_the_gateway_restarts_is_placed_once(stack: StackClient) -> None:
    order = PlaceOrderRequest.model_validate(TEAPOTS | {"reference": "during-a-restart"})
    stack.kill("gateway")

    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(stack.api.orders.place, order, idempotency_key="during-a-restart")
        stack.run("restart", "gateway")
        accepted = placing.result(timeout=60)
    again = stack.api.orders.place(order, idempotency_key="during-a-restart")

    assert again.order_id == accepted.order_id
    with pytest.raises(ProblemError) as caught:
        stack.api.orders.place(
            order.model_copy(update={"customer": "eve"}), idempotency_key="during-a-restart"
        )
    assert caught.value.code == "idempotency-key-reused"


def test_the_documented_program_runs(
    stack: StackClient, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    url = stack.connection_info["gateway"]["url"]

    exec(program.replace("http://127.0.0.1:8000", url), {})  # noqa: S102 - of our documentation

    printed = capsys.readouterr().out.splitlines()
    assert "1 order_received" in printed
    assert printed[-1] == "too-late-to-cancel"


async def test_a_stream_and_the_feed_have_the_events_of_an_order(stack: StackClient) -> None:
    order_id = stack.start_approved_order()
    url = stack.connection_info["gateway"]["url"]

    async with AsyncFuzeClient(url) as fuze:
        streamed = [event async for event in fuze.events.stream(order_id)]
        ticket = await fuze.events.create_ticket(order_id)
        resumed = fuze.events.stream(order_id, after=streamed[-2].seq, ticket=ticket.ticket)
        last = [event async for event in resumed]
        listed = await fuze.events.list(order_id)
        feed = [event async for event in fuze.events.list_all()]

    assert streamed == listed
    assert last == streamed[-1:]
    assert [one.seq for one in feed if str(one.order_id) == order_id] == [one.seq for one in listed]
