"""Record the workflow histories that the replay tests hold: `make histories`.

Run it when a workflow has a new way through it, and add the new file; the old ones stay, since
orders that went that way may still be open when the new code is deployed. What is there is neither
walked nor written again.
"""

import asyncio
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from ways import FUZE, Handle, Ways, until_ended
from ways_of_addresses import WaysOfAddresses
from ways_of_orders import WaysOfOrders
from ways_of_others import WaysOfPayments, WaysOfShipments
from ways_of_trouble import WaysOfTrouble

RELEASE = "0.1"
"""The release that the histories belong to; once it is cut, its files never change."""

_ROOT = Path(__file__).parent.parent
_ORDERS, _SHIPMENTS, _PAYMENTS = (
    _ROOT / f"services/{name}/tests/histories/{RELEASE}"
    for name in ("order", "shipping", "payment")
)
_WAYS: tuple[tuple[type[Ways], Path], ...] = (
    (WaysOfOrders, _ORDERS),
    (WaysOfAddresses, _ORDERS),
    (WaysOfTrouble, _ORDERS),
    (WaysOfShipments, _SHIPMENTS),
    (WaysOfPayments, _PAYMENTS),
)
_PROCESS = re.compile(r"\d+@[\w.-]+")  # how the SDK names a process
_WITH_SHIPMENT = {
    "shipped",
    "cancelled_while_preparing",
    "cancelled_through_its_shipment",
    "hand_over_needs_attention",
    "hand_over_recovers",
    "address_corrected",
    "readdressed_while_preparing",
    "shipment_ended_by_an_operator",
}


def main() -> None:
    """Start a stack, walk every way whose file is not there yet, write it."""
    missing = [
        (kind, name, unwritten)
        for kind, name, files in every_way()
        if (unwritten := [file for file in files if not file.exists()])
    ]
    if not missing:
        print("every way is recorded")
        return
    with tempfile.TemporaryDirectory(prefix="fuze-histories-") as state:
        Path(state).chmod(0o711)
        subprocess.run(
            [*FUZE, "up", "--ports", "auto", "--detach", "--state-dir", state], check=True
        )
        try:
            asyncio.run(_record(Path(state), missing))
        finally:
            subprocess.run([*FUZE, "down", "--state-dir", state], check=True)


def every_way() -> Iterator[tuple[type[Ways], str, list[Path]]]:
    """Return whose each way is, its name, and the files that record it."""
    for kind, folder in _WAYS:
        for name in vars(kind):
            if not name.startswith("_"):
                yield kind, name, _files(folder, name)


def recorded() -> set[Path]:
    """Return the files that are there."""
    return {file for _, folder in _WAYS for file in folder.glob("*.json")}


def _files(folder: Path, name: str) -> list[Path]:
    folders = [folder, _SHIPMENTS] if folder == _ORDERS and name in _WITH_SHIPMENT else [folder]
    return [one / f"{name}.json" for one in folders]


async def _record(state: Path, missing: list[tuple[type[Ways], str, list[Path]]]) -> None:
    stack = json.loads((state / "stack.json").read_text())
    client = await Client.connect(
        stack["temporal"]["address"], data_converter=pydantic_data_converter
    )
    async with httpx.AsyncClient(base_url=stack["sandbox"]["url"], trust_env=False) as sandbox:
        for kind, name, files in missing:
            walked: Handle = await getattr(kind(client, sandbox, stack, state), name)()
            await until_ended(walked)
            for file in files:
                is_another = file.parent == _SHIPMENTS and walked.id.startswith("order/")
                shipment = client.get_workflow_handle(walked.id.replace("order/", "shipping/"))
                workflow = shipment if is_another else walked
                _write(file, workflow.id, await workflow.fetch_history())


def _write(path: Path, workflow_id: str, history: WorkflowHistory) -> None:
    recorded = {"workflow_id": workflow_id, "history": _impersonal(history.to_json_dict())}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")
    print(f"written {path.relative_to(_ROOT)}: {len(history.events)} events", flush=True)


def _impersonal(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Leave out whose machine it was: a replay asks neither for names nor for stack traces."""
    if isinstance(part, dict):
        return {name: _impersonal(one) for name, one in part.items() if name != "stackTrace"}
    if isinstance(part, list):
        return [_impersonal(one) for one in part]
    return "recorder" if isinstance(part, str) and _PROCESS.fullmatch(part) else part


if __name__ == "__main__":
    main()
