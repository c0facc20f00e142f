"""Record the workflow histories that the replay tests hold: `make histories`.

Run it when a workflow has a new way through it, and add the new file; the old ones stay, since
orders that went that way may still be open when the new code is deployed.
"""

import asyncio
import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from ways import Handle, Ways

_ROOT = Path(__file__).parent.parent
_ORDERS = _ROOT / "services/order/tests/histories"
_SHIPMENTS = _ROOT / "services/shipping/tests/histories"
_PROCESS = re.compile(r"\d+@[\w.-]+")  # how the SDK names a process
_WITH_SHIPMENT = {
    "shipped",
    "cancelled_while_preparing",
    "cancelled_through_its_shipment",
    "hand_over_needs_attention",
    "address_corrected",
}
_FUZE = [sys.executable, "-m", "fuze_devstack"]


def main() -> None:
    """Start a stack, walk every way, write what is not there yet."""
    with tempfile.TemporaryDirectory(prefix="fuze-histories-") as state:
        Path(state).chmod(0o711)
        subprocess.run([*_FUZE, "up", "--ports", "auto", "--detach", "--state", state], check=True)
        try:
            stack = json.loads((Path(state) / "stack.json").read_text())
            asyncio.run(_record(stack["temporal"]["address"], stack["sandbox"]["url"]))
        finally:
            subprocess.run([*_FUZE, "down", "--state", state], check=True)


async def _record(temporal: str, sandbox: str) -> None:
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    async with httpx.AsyncClient(base_url=sandbox, trust_env=False) as http:
        ways = Ways(client, http)
        for name, way in vars(Ways).items():
            if not name.startswith("_"):
                await _keep(client, name, functools.partial(way, ways))


async def _keep(client: Client, name: str, way: Callable[[], Awaitable[Handle]]) -> None:
    orders, shipments = _ORDERS / f"{name}.json", _SHIPMENTS / f"{name}.json"
    if orders.exists():
        print(f"kept    {orders.relative_to(_ROOT)}")
        return
    order = await way()
    while (await order.describe()).status is WorkflowExecutionStatus.RUNNING:
        await asyncio.sleep(0.1)
    _write(orders, order.id, await order.fetch_history())
    if name in _WITH_SHIPMENT:
        shipment = client.get_workflow_handle(order.id.replace("order/", "shipping/"))
        _write(shipments, shipment.id, await shipment.fetch_history())


def _write(path: Path, workflow_id: str, history: WorkflowHistory) -> None:
    recorded = {"workflow_id": workflow_id, "history": _impersonal(history.to_json_dict())}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")
    print(f"written {path.relative_to(_ROOT)}: {len(history.events)} events")


def _impersonal(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Leave out whose machine it was: a replay asks neither for names nor for stack traces."""
    if isinstance(part, dict):
        return {name: _impersonal(one) for name, one in part.items() if name != "stackTrace"}
    if isinstance(part, list):
        return [_impersonal(one) for one in part]
    return "recorder" if isinstance(part, str) and _PROCESS.fullmatch(part) else part


if __name__ == "__main__":
    main()
