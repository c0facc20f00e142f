"""A worker of the floor: `python -m fuze_bench.sides.floor order`, `payment` or `shipping`.

The SDK's defaults, sandbox included. It opens a port when it is ready.
"""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from fuze_bench.sides import floor_workflows as floor


@dataclass(frozen=True)
class Role:
    """What a worker polls and runs."""

    task_queue: str
    workflows: list[type] = field(default_factory=list)
    activities: list[Any] = field(default_factory=list)


ROLES = {
    "order": Role(floor.ORDER_QUEUE, [floor.FloorOrderWorkflow], [floor.record_transition]),
    "payment": Role(floor.PAYMENT_QUEUE, [], [floor.charge_payment]),
    "shipping": Role(
        floor.SHIPPING_QUEUE,
        [floor.FloorShippingWorkflow],
        [floor.prepare_shipment, floor.dispatch_shipment],
    ),
}


async def main(name: str) -> None:
    """Run the worker until SIGTERM."""
    role = ROLES[name]
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    worker = Worker(
        client,
        task_queue=role.task_queue,
        workflows=role.workflows,
        activities=role.activities,
    )
    async with worker, await _open_ready_port():
        await stopped.wait()


async def _open_ready_port() -> asyncio.Server:
    port = int(os.environ["BENCH_READY_PORT"])
    return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
