"""A client of a running stack, which reaches it only as its users do."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
from temporalio.client import Client

from fuze_client import FuzeClient
from fuze_contracts.address import Address
from fuze_contracts.event_details import DETAILS
from fuze_contracts.order import ORDER_TASK_QUEUE, OrderWorkflow, PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import EventType
from fuze_contracts.payment import default_payment_token
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_testing import unmeasured_environment

_TIMEOUT_SECONDS = 45
_POLL_INTERVAL_SECONDS = 0.1

TEAPOTS: dict[str, Any] = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
    "payment_method": "pm_card_visa",
    "address": {"zip_code": "10001"},
}
"""The body of a request that starts an order: three teapots, 59.97 USD."""

TOTAL_MINOR = 5997
"""What the teapots cost, in cents."""

OTHER_ADDRESS: dict[str, Any] = {
    "address": {
        "country": "US",
        "name": "Ada Lovelace",
        "line1": "1 Market Street",
        "city": "San Francisco",
        "region": "CA",
        "postal_code": "94105",
    },
    "actor": "ada",
}
CANCELLATION = {"reason": "changed my mind", "actor": "ada"}


def eventually(condition: Callable[[], Any], description: str) -> Any:  # noqa: ANN401 - whatever it finds
    """Wait until the condition is true, and return its value."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(_POLL_INTERVAL_SECONDS)
    raise AssertionError(f"not within {_TIMEOUT_SECONDS} s: {description}")


@dataclass
class StackClient:
    """A running stack, by its command line, its stack.json, its HTTP API and its sandbox.

    `settings` are `FUZE_…` variables of its services. `is_measured`: their coverage is measured.
    """

    folder: Path
    fuze: list[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    is_measured: bool = True
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=15, trust_env=False))

    # The command line

    def run(self, command: str, *arguments: str) -> str:
        """Run `fuze COMMAND` for this stack, which must succeed, and return its output."""
        done = self.try_to_run(command, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_to_run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `fuze COMMAND` for this stack, whether it succeeds or not."""
        return subprocess.run(
            [*self.fuze, command, *arguments, "--state-dir", str(self.folder)],
            env={**(os.environ if self.is_measured else unmeasured_environment()), **self.settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *options: str) -> None:
        """Start the stack on free ports; return when it is ready."""
        self.run("up", "--ports", "auto", "--detach", *options)

    def stop(self) -> None:
        """Stop the stack, if it runs; no process may be left."""
        if not (self.folder / "stack.json").exists():
            return
        pids = [facts["pid"] for facts in self.connection_info.values()]
        processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        family = [child for one in processes for child in one.children(recursive=True)]
        self.run("down")
        assert not [one for one in (*processes, *family) if one.is_running()]
        assert not (self.folder / "stack.json").exists()

    def kill(self, component: str) -> None:
        """Kill a component with SIGKILL, and wait until its process has ended."""
        pid = self.connection_info[component]["pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid), f"{component} has ended")

    def terminate(self, component: str) -> None:
        """Ask a component to end with SIGTERM, and wait until its process has ended."""
        pid = self.connection_info[component]["pid"]
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not psutil.pid_exists(pid), f"{component} has ended")

    @property
    def connection_info(self) -> dict[str, Any]:
        """Return the content of stack.json."""
        content: dict[str, Any] = json.loads((self.folder / "stack.json").read_text())
        return content

    @property
    def supervisor_output(self) -> str:
        """Return what `fuze up` has printed."""
        return (self.folder / "up.log").read_text()

    def read_log(self, component: str) -> list[dict[str, Any]]:
        """Return a component's log records."""
        text = Path(self.connection_info[component]["log"]).read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    # The HTTP API

    @property
    def api(self) -> FuzeClient:
        """Return the client that users of the API have; a problem is an exception."""
        return FuzeClient(self._gateway, http=self.http)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self._gateway}{path}")

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.http.post(f"{self._gateway}{path}", json=body)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.http.put(f"{self._gateway}{path}", json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(f"{self._gateway}{path}")

    def start_order(self, **changes: Any) -> str:  # noqa: ANN401 - a request's fields
        """Start an order of three teapots, with other fields where they are given."""
        order_id = str(uuid4())
        answer = self.post(f"/orders/{order_id}/start", TEAPOTS | changes)
        assert answer.status_code == 202, answer.text
        return order_id

    def approve(self, order_id: str) -> None:
        answer = self.post(f"/orders/{order_id}/signals/approve", {"actor": "grace"})
        assert answer.status_code == 202, answer.text

    def start_approved_order(self, **changes: Any) -> str:  # noqa: ANN401 - a request's fields
        order_id = self.start_order(**changes)
        self.approve(order_id)
        return order_id

    def get_order(self, order_id: str) -> dict[str, Any]:
        """Return the order's row; its states are None while the order is unknown."""
        answer = self.get(f"/orders/{order_id}")
        return answer.json() if answer.is_success else {"status": None, "payment_status": None}

    def get_status(self, order_id: str) -> dict[str, Any]:
        """Return the order's status; its parts are None while the order is unknown."""
        answer = self.get(f"/orders/{order_id}/status")
        return answer.json() if answer.is_success else {"status": None, "live": None}

    def wait_for_status(self, order_id: str, status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            # Polled from the row: each live query of a workflow costs a workflow task.
            if self.get_order(order_id)["status"] != status:
                return None
            found = self.get_status(order_id)
            return found if found["status"] == status else None

        found: dict[str, Any] = eventually(reached, f"{order_id} is {status}")
        return found

    def get_event_types(self, order_id: str) -> list[str]:
        """Return the types of the order's events; their details are those of the contract."""
        found = self.get(f"/orders/{order_id}/events").json().get("events", [])
        for event in found:
            DETAILS[EventType(event["type"])].model_validate(event["details"])
        return [event["type"] for event in found]

    def get_payments(self, order_id: str) -> list[dict[str, Any]]:
        """Return the order's payments as the gateway publishes them."""
        return list(self.get(f"/orders/{order_id}/payments").json()["payments"])

    def has_failing_activity(self, order_id: str, name: str) -> bool:
        """Return whether an attempt of the order's pending activity has failed."""
        pending = (self.get_status(order_id)["live"] or {}).get("pending_activities", [])
        return any(one["name"] == name and one["last_failure"] for one in pending)

    # The sandbox

    def get_charges(self, order_id: str) -> list[dict[str, Any]]:
        """Return the order's charges at the provider."""
        return list(self.get_sandbox(f"/psp/charges?order_id={order_id}")["charges"])

    def get_refunds(self, order_id: str) -> list[dict[str, Any]]:
        """Return the order's refunds at the provider."""
        return list(self.get_sandbox(f"/psp/refunds?order_id={order_id}")["refunds"])

    def get_parcels(self, order_id: str) -> list[dict[str, Any]]:
        """Return the order's parcels at the carrier."""
        return list(self.get_sandbox(f"/carrier/parcels?order_id={order_id}")["parcels"])

    def get_sandbox(self, path: str) -> Any:  # noqa: ANN401 - a JSON document
        return self.http.get(f"{self._sandbox}{path}").json()

    def post_sandbox(self, path: str, body: dict[str, Any]) -> None:
        self.http.post(f"{self._sandbox}{path}", json=body).raise_for_status()

    def configure_sandbox(self, part: str, **conditions: Any) -> None:  # noqa: ANN401 - as JSON
        """Set how the `psp` or the `carrier` behaves; what is not given is as usual."""
        url = f"{self._sandbox}/control/{part}"
        self.http.put(url, json=conditions).raise_for_status()

    def pause_requests(self, part: str, at: str) -> None:
        """Pause requests to the `psp` or the `carrier` before or after they are carried out."""
        self.configure_sandbox(part, pause_at=at)

    def wait_for_paused_request(self, part: str) -> None:
        eventually(
            lambda: self.get_sandbox(f"/control/{part}")["paused_requests"],
            f"a request to the {part} pauses",
        )

    @property
    def _gateway(self) -> str:
        return str(self.connection_info["gateway"]["url"])

    @property
    def _sandbox(self) -> str:
        return str(self.connection_info["sandbox"]["url"])


async def start_order_workflow(temporal: Client, **changes: object) -> UUID:
    """Start an order of three teapots in Temporal, with settings that no request can ask for."""
    order_id = uuid4()
    fields: dict[str, object] = {
        "order_id": order_id,
        "address": Address(country="US", postal_code="10001"),
        "fingerprint": "a-fingerprint",
        "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
        "payment_method": "pm_card_visa",
        "payment_token": default_payment_token(order_id, 1),
        "approval_reminder_before": timedelta(days=1),
    }
    await temporal.start_workflow(
        OrderWorkflow.run,
        PlaceOrder.model_validate(fields | changes),
        id=order_workflow_id(order_id),
        task_queue=ORDER_TASK_QUEUE,
    )
    return order_id
