"""Record the workflow histories that the replay tests hold: `make histories`.

Run it when a workflow has a new way through it, and add the new file; the old ones stay, since
orders that went that way may still be open when the new code is deployed.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    CancelOrder,
    ChangePaymentMethod,
    OrderLine,
    OrderWorkflow,
    PlaceOrder,
    UpdateAddress,
    order_workflow_id,
)
from fuze_contracts.shipping import Address, shipping_workflow_id

_ROOT = Path(__file__).parent.parent
_ORDERS = _ROOT / "services/order/tests/histories"
_SHIPMENTS = _ROOT / "services/shipping/tests/histories"
_PROCESS = re.compile(r"\d+@[\w.-]+")  # how the SDK names a process
_FUZE = [sys.executable, "-m", "fuze_devstack"]


def main() -> None:
    """Start a stack, walk every way, write what is not there yet."""
    with tempfile.TemporaryDirectory(prefix="fuze-histories-") as state:
        Path(state).chmod(0o711)
        subprocess.run([*_FUZE, "up", "--ports", "auto", "--detach", "--state", state], check=True)
        try:
            stack = json.loads((Path(state) / "stack.json").read_text())
            asyncio.run(_record(stack["temporal"]["address"]))
        finally:
            subprocess.run([*_FUZE, "down", "--state", state], check=True)


async def _record(address: str) -> None:
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    await _walk(client, "shipped", approve=True)
    await _walk(client, "shipped_free", approve=True, lines=())
    await _walk(client, "rejected", address=Address(zip_code="NOWHERE"))
    await _walk(client, "expired", approval_timeout=timedelta(seconds=1))
    await _walk(
        client,
        "payment_declined",
        approve=True,
        payment_method="pm_declined",
        payment_method_timeout=timedelta(seconds=1),
    )
    await _walk(client, "paid_otherwise", approve=True, pay=True, payment_method="pm_declined")
    await _walk(client, "cancelled", cancel=True)
    await _walk(client, "cancelled_by_temporal", cancel_natively=True)
    await _walk(client, "address_updated", approve=True, move=True)


async def _walk(  # noqa: C901, PLR0913 - one flag a thing that can be done to an order
    client: Client,
    name: str,
    *,
    approve: bool = False,
    cancel: bool = False,
    cancel_natively: bool = False,
    move: bool = False,
    pay: bool = False,
    **changes: object,
) -> None:
    order_id = uuid4()
    fields = {
        "order_id": order_id,
        "address": Address(zip_code="10001"),
        "fingerprint": "a-fingerprint",
        "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
        "payment_method": "pm_card_visa",
        "payment_token": f"{order_id}:1",
    }
    order = PlaceOrder.model_validate(fields | changes)
    handle = await client.start_workflow(
        OrderWorkflow.run,
        order,
        id=order_workflow_id(order_id),
        task_queue=ORDER_TASK_QUEUE,
    )
    if approve or cancel or cancel_natively or move:
        while (await handle.query(OrderWorkflow.status)).waiting_for is None:
            await asyncio.sleep(0.1)
    if move:
        await handle.signal(
            OrderWorkflow.update_address, UpdateAddress(address=Address(zip_code="94105"))
        )
    if approve:
        await handle.signal(OrderWorkflow.approve)
    if pay:
        while (await handle.query(OrderWorkflow.status)).waiting_for != "payment_method":
            await asyncio.sleep(0.1)
        await handle.execute_update(
            OrderWorkflow.change_payment_method, ChangePaymentMethod(payment_method="pm_card_visa")
        )
    if cancel:
        await handle.signal(OrderWorkflow.cancel, CancelOrder(actor="ada", reason="changed mind"))
    if cancel_natively:
        await handle.cancel()
    while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        await asyncio.sleep(0.1)
    await _write(client, _ORDERS / f"{name}.json", order_workflow_id(order_id))
    if name == "shipped":
        await _write(client, _SHIPMENTS / f"{name}.json", shipping_workflow_id(order_id))


async def _write(client: Client, path: Path, workflow_id: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    _keep(path, workflow_id, history)


def _keep(path: Path, workflow_id: str, history: WorkflowHistory) -> None:
    if path.exists():
        print(f"kept    {path.relative_to(_ROOT)}")
        return
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
