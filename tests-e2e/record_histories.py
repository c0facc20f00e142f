"""Record the workflow histories that the replay tests hold: `make histories`.

Run it when a workflow has a new path, and add the new file. The old files stay: orders that took
those paths may still be open when the new code is deployed. A scenario whose files exist is not run
again.
"""

import asyncio
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from history_scenarios import FUZE, Handle, Scenarios, until_ended
from history_scenarios_addresses import AddressScenarios
from history_scenarios_erasure import ErasureScenarios
from history_scenarios_failures import FailureScenarios
from history_scenarios_orders import OrderScenarios
from history_scenarios_recovery import RecoveryScenarios
from history_scenarios_returns import ReturnScenarios
from history_scenarios_services import PaymentScenarios, ShipmentScenarios
from history_scenarios_webhooks import WebhookScenarios
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

_TIMEOUT = 300
"""Seconds for a scenario: its workflow may be stuck on a task that fails."""

_ROOT = Path(__file__).parent.parent
_ORDERS, _SHIPMENTS, _PAYMENTS, _WEBHOOKS = (
    _ROOT / f"services/{name}/tests/histories"
    for name in ("order", "shipping", "payment", "webhooks")
)
_SCENARIOS: tuple[tuple[type[Scenarios], Path], ...] = (
    (OrderScenarios, _ORDERS),
    (AddressScenarios, _ORDERS),
    (FailureScenarios, _ORDERS),
    (RecoveryScenarios, _ORDERS),
    (ReturnScenarios, _ORDERS),
    (ErasureScenarios, _ORDERS),
    (ShipmentScenarios, _SHIPMENTS),
    (PaymentScenarios, _PAYMENTS),
    (WebhookScenarios, _WEBHOOKS),
)
_PROCESS = re.compile(r"\d+@[\w.-]+")  # how the SDK names a process
_WITH_SHIPMENT = {
    "shipped",
    "cancelled_while_preparing",
    "cancelled_through_shipment",
    "dispatch_needs_attention",
    "dispatch_recovers",
    "address_corrected",
    "address_changed_while_preparing",
    "shipment_terminated_by_operator",
}


def main() -> None:
    """Start a stack, run every scenario whose files are missing, and write them."""
    missing = [
        (kind, name, unwritten)
        for kind, name, files in list_scenarios()
        if (unwritten := [file for file in files if not file.exists()])
    ]
    if not missing:
        print("every scenario is recorded")
        return
    with tempfile.TemporaryDirectory(prefix="fuze-histories-") as state:
        Path(state).chmod(0o711)
        subprocess.run(
            [*FUZE, "up", "--ports", "auto", "--detach", "--state-dir", state],
            check=True,
            env=os.environ | {"FUZE_SHIPS_TO": "US"},
        )
        try:
            asyncio.run(_record(Path(state), missing))
        finally:
            subprocess.run([*FUZE, "down", "--state-dir", state], check=True)


def list_scenarios() -> Iterator[tuple[type[Scenarios], str, list[Path]]]:
    """Return each scenario's class, its name, and the files that record it."""
    for kind, folder in _SCENARIOS:
        for name in vars(kind):
            if not name.startswith("_"):
                yield kind, name, _files(folder, name)


def recorded() -> set[Path]:
    """Return the recorded files."""
    return {file for _, folder in _SCENARIOS for file in folder.glob("*.json")}


def _files(folder: Path, name: str) -> list[Path]:
    folders = [folder, _SHIPMENTS] if folder == _ORDERS and name in _WITH_SHIPMENT else [folder]
    return [one / f"{name}.json" for one in folders]


async def _record(state: Path, missing: list[tuple[type[Scenarios], str, list[Path]]]) -> None:
    stack = json.loads((state / "stack.json").read_text())
    client = await Client.connect(
        stack["temporal"]["address"], data_converter=pydantic_data_converter
    )
    async with httpx.AsyncClient(base_url=stack["sandbox"]["url"], trust_env=False) as sandbox:
        for kind, name, files in missing:
            async with asyncio.timeout(_TIMEOUT):
                started: Handle = await getattr(kind(client, sandbox, stack, state), name)()
                await until_ended(started)
            for file in files:
                is_shipment = file.parent == _SHIPMENTS and started.id.startswith("order/")
                shipment = client.get_workflow_handle(started.id.replace("order/", "shipping/"))
                workflow = shipment if is_shipment else started
                _write(file, workflow.id, await workflow.fetch_history())


def _write(path: Path, workflow_id: str, history: WorkflowHistory) -> None:
    recorded = {"workflow_id": workflow_id, "history": _anonymize(history.to_json_dict())}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")
    print(f"written {path.relative_to(_ROOT)}: {len(history.events)} events", flush=True)


def _anonymize(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Remove process names and stack traces, which differ by machine; a replay reads neither."""
    if isinstance(part, dict):
        return {name: _anonymize(one) for name, one in part.items() if name != "stackTrace"}
    if isinstance(part, list):
        return [_anonymize(one) for one in part]
    return "recorder" if isinstance(part, str) and _PROCESS.fullmatch(part) else part


if __name__ == "__main__":
    main()
