"""Charges while workers are killed with SIGKILL and the provider drops, delays and fails requests.

Each order is charged by three concurrent activities under one token. Afterwards the outcomes that
the workflows got, the payments, the ledger, and the provider's own records must agree.

`make test` charges twenty orders; `make proof` charges five hundred, and shows that the test
fails without the provider's idempotency keys and without the claim of the payment's row.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import psutil
import pytest
from stack_client import StackClient
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_contracts.money import Money
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    ChargeOutcome,
    ChargePayment,
    PaymentActivities,
)
from fuze_devstack.ports import Ports

_ORDERS = int(os.environ.get("FUZE_PAYMENT_CRASH_ORDERS", "20"))
_SEED = 20261124
_WORKERS = 3
_FAULTS = {"response_dropped": 0.1, "delayed_commit": 0.1, "error": 0.1}


@workflow.defn
class ThreeAttempts:
    """Charge three times at once under one token, as a caller does that crashes and retries."""

    @workflow.run
    async def run(self, command: ChargePayment) -> list[ChargeOutcome]:
        return list(
            await asyncio.gather(
                *(
                    workflow.execute_activity_method(
                        PaymentActivities.payment_charged,
                        command,
                        task_queue=PAYMENT_TASK_QUEUE,
                        start_to_close_timeout=timedelta(seconds=6),
                        retry_policy=RetryPolicy(
                            initial_interval=timedelta(seconds=0.5),
                            maximum_interval=timedelta(seconds=2),
                        ),
                    )
                    for _ in range(3)
                )
            )
        )


class WorkerPool:
    """Payment workers, one of which is killed and replaced every second."""

    def __init__(self, environment: dict[str, str], log: Path, *options: str) -> None:
        self.kills = 0
        self._workers: list[int] = []
        with log.open("ab") as output:
            self._forker = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker_forker.py")), *options],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )

    def start_worker(self) -> str:
        """Start a worker, and return the URL of its readiness."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        port = Ports.free().payment
        self._forker.stdin.write(f"{port}\n")
        self._forker.stdin.flush()
        while not (line := self._forker.stdout.readline()).strip().isdecimal():
            assert line, "the forking process has ended"
        self._workers.append(int(line))
        return f"http://127.0.0.1:{port}/readyz"

    def replace_oldest(self) -> str:
        """Kill the oldest worker, and return the readiness URL of the one in its place."""
        os.kill(self._workers.pop(0), signal.SIGKILL)
        self.kills += 1
        return self.start_worker()

    def close(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.close()
        self._forker.wait(30)
        self._forker.stdout.close()


@dataclass
class Records:
    """What workflows, provider and database have recorded at the end; amounts in cents."""

    outcomes: Counter[str]
    orders_with_different_outcomes: int
    orders_charged_twice: list[str]
    at_the_provider: int
    ledger: int
    debits: int
    credits: int
    open_payments: int
    kills: int

    @property
    def problems(self) -> list[str]:
        found = []
        if self.orders_with_different_outcomes:
            found.append(f"{self.orders_with_different_outcomes} orders have several outcomes")
        if self.orders_charged_twice:
            found.append(f"{len(self.orders_charged_twice)} orders charged twice")
        if self.at_the_provider != self.ledger:
            found.append(f"the provider has {self.at_the_provider}, the ledger {self.ledger}")
        if self.debits != self.credits:
            found.append(f"debits {self.debits}, credits {self.credits}")
        if self.open_payments:
            found.append(f"{self.open_payments} payments are open")
        return found


@pytest.fixture
async def no_payment_service(stack: StackClient) -> AsyncIterator[dict[str, str]]:
    """Stop the payment service for the length of a test, and return its environment."""
    environment = psutil.Process(stack.connection_info["payment"]["pid"]).environ()
    stack.terminate("payment")
    # Without coverage: what is killed loses what it has counted.
    yield {k: v for k, v in environment.items() if not k.startswith("COVERAGE_")} | {
        "FUZE_PSP_TIMEOUT": "1",
        "FUZE_PAYMENT_LEASE": "3",
        "FUZE_PSP_SETTLE_WINDOW": "3",
        "FUZE_LOG_LEVEL": "ERROR",
        "FUZE_DATABASE_POOL_SIZE": "20",
    }
    stack.configure_sandbox("psp")
    stack.run("restart", "payment")


@pytest.mark.timeout(300)
async def test_no_order_is_charged_twice_while_workers_are_killed_and_replies_are_lost(
    stack: StackClient, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    pool = WorkerPool(no_payment_service, tmp_path / "log")

    records = await _charge_all(stack, temporal, pool, orders=_ORDERS)

    assert records.problems == []
    assert records.outcomes == {"charged": _ORDERS}
    assert records.kills >= 1  # one a second, for as long as it takes


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_charging_twice_is_found_when_the_provider_ignores_idempotency_keys(
    stack: StackClient, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    pool = WorkerPool(no_payment_service, tmp_path / "log")

    records = await _charge_all(stack, temporal, pool, orders=100, idempotency_enabled=False)

    assert records.orders_charged_twice


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_charging_twice_is_found_when_workers_do_not_claim_the_payment(
    stack: StackClient, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    pool = WorkerPool(no_payment_service, tmp_path / "log", "--without-claim")

    records = await _charge_all(stack, temporal, pool, orders=100)

    assert records.orders_charged_twice


async def _charge_all(
    stack: StackClient,
    temporal: Client,
    pool: WorkerPool,
    *,
    orders: int,
    idempotency_enabled: bool = True,
) -> Records:
    # A delayed commit makes a second charge only where it comes after a lookup.
    late_by = 1 if idempotency_enabled else 5
    stack.configure_sandbox(
        "psp",
        faults=_FAULTS,
        seed=_SEED,
        commit_delay_seconds=late_by,
        idempotency_enabled=idempotency_enabled,
    )
    ids = [uuid4() for _ in range(orders)]
    for _ in range(_WORKERS):
        pool.start_worker()
    killing = asyncio.create_task(_replace_workers(pool))
    try:
        async with Worker(
            temporal,
            task_queue="three-attempts",
            workflows=[ThreeAttempts],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            outcomes = await asyncio.gather(*(_charge(temporal, order_id) for order_id in ids))
            await asyncio.sleep(late_by + 1)  # until then delayed commits are made
    finally:
        killing.cancel()
        pool.close()
    return await _read_records(stack, ids, outcomes, pool)


async def _charge(temporal: Client, order_id: UUID) -> list[ChargeOutcome]:
    return await temporal.execute_workflow(
        ThreeAttempts.run,
        ChargePayment(
            order_id=order_id,
            payment_token=f"{order_id}:1",
            amount=Money(amount_minor=1000, currency="USD"),
            payment_method="pm_card_visa",
        ),
        id=f"three-attempts/{order_id}",
        task_queue="three-attempts",
        execution_timeout=timedelta(seconds=250),
    )


async def _replace_workers(pool: WorkerPool) -> None:
    """Replace a worker every second, or as soon as the machine has started the last one."""
    await asyncio.sleep(3)  # until then the first workers start
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            ready = pool.replace_oldest()
            while not await _is_ready(client, ready):
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


async def _read_records(
    stack: StackClient, ids: list[UUID], outcomes: list[list[ChargeOutcome]], pool: WorkerPool
) -> Records:
    wanted = {str(order_id) for order_id in ids}
    charges = [
        one
        for one in stack.get_sandbox("/psp/charges")["charges"]
        if one["order_id"] in wanted and one["status"] == "charged"
    ]
    per_order = Counter(one["order_id"] for one in charges)
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    row: Any = await connection.fetchrow(
        "SELECT sum(debit_minor)::bigint AS debits, sum(credit_minor)::bigint AS credits,"
        " coalesce(sum(debit_minor) FILTER (WHERE account = 'provider'), 0)::bigint AS ledger"
        " FROM payments.ledger_entries JOIN payments.payments ON payments.id = payment_id"
        " WHERE order_id = ANY($1)",
        ids,
    )
    open_payments = await connection.fetchval(
        "SELECT count(*) FROM payments.payments"
        " WHERE order_id = ANY($1) AND state NOT IN ('charged', 'declined', 'voided')",
        ids,
    )
    await connection.close()
    return Records(
        outcomes=Counter(three[0].outcome for three in outcomes),
        orders_with_different_outcomes=sum(len(set(three)) > 1 for three in outcomes),
        orders_charged_twice=[order_id for order_id, times in per_order.items() if times > 1],
        at_the_provider=sum(one["amount_minor"] for one in charges),
        ledger=row["ledger"],
        debits=row["debits"],
        credits=row["credits"],
        open_payments=open_payments,
        kills=pool.kills,
    )
