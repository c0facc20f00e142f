"""Money under fire: real workers killed with -9, a provider that loses replies, lands late, breaks.

Each order is charged by three concurrent activities under one token. Afterwards four books must
say the same: what the workflows were told, the payments, the ledger, and the provider's own.
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
import psutil
import pytest
from running_stack import Stack
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

_SEED = 20261124
_WORKERS = 3
_FAULTS = {"response_dropped": 0.1, "delayed_commit": 0.1, "error": 0.1}


@workflow.defn
class ThreeAttempts:
    """Three activities at once under one token: what a crash-looping caller looks like."""

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


class Crew:
    """Payment workers of which one is killed every second and replaced."""

    def __init__(self, environment: dict[str, str], log: Path, *options: str) -> None:
        self.kills = 0
        self._workers: list[int] = []
        with log.open("ab") as output:
            self._hatchery = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("hatchery.py")), *options],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )

    def hire(self) -> None:
        assert self._hatchery.stdin is not None
        assert self._hatchery.stdout is not None
        self._hatchery.stdin.write(f"{Ports.free().payment}\n")
        self._hatchery.stdin.flush()
        while not (line := self._hatchery.stdout.readline()).strip().isdecimal():
            assert line, "the hatchery has ended"
        self._workers.append(int(line))

    def kill_the_oldest(self) -> None:
        os.kill(self._workers.pop(0), signal.SIGKILL)
        self.kills += 1
        self.hire()

    def dismiss(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        assert self._hatchery.stdin is not None
        assert self._hatchery.stdout is not None
        self._hatchery.stdin.close()
        self._hatchery.wait(30)
        self._hatchery.stdout.close()


@dataclass
class Books:
    """What everyone says when it is over."""

    told: Counter[str]
    duplicate_charge: list[str]
    at_the_provider: int
    ledger: int
    debits: int
    credits: int
    open_claims: int
    kills: int

    @property
    def problems(self) -> list[str]:
        found = []
        if self.duplicate_charge:
            found.append(f"{len(self.duplicate_charge)} orders charged twice")
        if self.at_the_provider != self.ledger:
            found.append(f"the provider has {self.at_the_provider}, the ledger {self.ledger}")
        if self.debits != self.credits:
            found.append(f"debits {self.debits}, credits {self.credits}")
        if self.open_claims:
            found.append(f"{self.open_claims} claims are open")
        return found


@pytest.fixture
async def no_payment_service(stack: Stack) -> AsyncIterator[dict[str, str]]:
    """The environment of the payment service, which is away meanwhile."""
    payment = psutil.Process(stack.facts["payment"]["pid"])
    environment = payment.environ()
    stack.run("kill", "payment", "--signal", "TERM")
    payment.wait(60)
    yield environment | {
        "FUZE_PSP_TIMEOUT": "1",
        "FUZE_PAYMENT_LEASE": "3",
        "FUZE_PSP_SETTLE_WINDOW": "3",
        "FUZE_LOG_LEVEL": "ERROR",
        "FUZE_DATABASE_POOL_SIZE": "20",
    }
    stack.set_conditions("psp")
    stack.run("restart", "payment")


@pytest.mark.timeout(300)
async def test_no_order_is_charged_twice_whatever_is_killed_or_lost(
    stack: Stack, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    crew = Crew(no_payment_service, tmp_path / "log")

    books = await _under_fire(stack, temporal, crew, orders=500)

    assert books.problems == []
    assert books.told == {"charged": 500}
    assert books.kills >= 5


@pytest.mark.timeout(300)
async def test_without_the_providers_key_the_same_test_finds_it(
    stack: Stack, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    crew = Crew(no_payment_service, tmp_path / "log")

    books = await _under_fire(stack, temporal, crew, orders=100, honour_keys=False)

    assert books.duplicate_charge


@pytest.mark.timeout(300)
async def test_without_the_claim_the_same_test_finds_it(
    stack: Stack, temporal: Client, no_payment_service: dict[str, str], tmp_path: Path
) -> None:
    crew = Crew(no_payment_service, tmp_path / "log", "--without-claim")

    books = await _under_fire(stack, temporal, crew, orders=100)

    assert books.duplicate_charge


async def _under_fire(
    stack: Stack, temporal: Client, crew: Crew, *, orders: int, honour_keys: bool = True
) -> Books:
    # What lands late doubles a charge only where it lands after somebody has looked for it.
    late_by = 1 if honour_keys else 5
    stack.set_conditions(
        "psp",
        faults=_FAULTS,
        seed=_SEED,
        commit_delay_seconds=late_by,
        idempotency_enabled=honour_keys,
    )
    ids = [uuid4() for _ in range(orders)]
    for _ in range(_WORKERS):
        crew.hire()
    killing = asyncio.create_task(_kill_every_second(crew))
    try:
        async with Worker(
            temporal,
            task_queue="three-attempts",
            workflows=[ThreeAttempts],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            outcomes = await asyncio.gather(*(_charge(temporal, order_id) for order_id in ids))
            await asyncio.sleep(late_by + 1)  # what lands late has landed then
    finally:
        killing.cancel()
        crew.dismiss()
    assert all(len(set(three)) == 1 for three in outcomes) or not honour_keys
    return await _read_books(stack, ids, outcomes, crew)


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


async def _kill_every_second(crew: Crew) -> None:
    await asyncio.sleep(3)  # the first crew is at work then
    while True:
        crew.kill_the_oldest()
        await asyncio.sleep(1)


async def _read_books(
    stack: Stack, ids: list[UUID], outcomes: list[list[ChargeOutcome]], crew: Crew
) -> Books:
    wanted = {str(order_id) for order_id in ids}
    charges = [
        one
        for one in stack.get("/psp/charges", "sandbox").json()["charges"]
        if one["order_id"] in wanted and one["status"] == "charged"
    ]
    per_order = Counter(one["order_id"] for one in charges)
    connection = await asyncpg.connect(stack.facts["postgres"]["dsn"])
    row: Any = await connection.fetchrow(
        "SELECT sum(debit_minor)::bigint AS debits, sum(credit_minor)::bigint AS credits,"
        " coalesce(sum(debit_minor) FILTER (WHERE account = 'provider'), 0)::bigint AS ledger"
        " FROM payments.ledger_entries JOIN payments.payments ON payments.id = payment_id"
        " WHERE order_id = ANY($1)",
        ids,
    )
    open_claims = await connection.fetchval(
        "SELECT count(*) FROM payments.payments"
        " WHERE order_id = ANY($1) AND state NOT IN ('charged', 'declined', 'voided')",
        ids,
    )
    await connection.close()
    return Books(
        told=Counter(three[0].outcome for three in outcomes),
        duplicate_charge=[order_id for order_id, times in per_order.items() if times > 1],
        at_the_provider=sum(one["amount_minor"] for one in charges),
        ledger=row["ledger"],
        debits=row["debits"],
        credits=row["credits"],
        open_claims=open_claims,
        kills=crew.kills,
    )
