"""A process that forks a payment worker for each line on stdin.

A worker that starts from nothing needs two seconds of a core for its imports, so that a test which
kills one worker a second would measure imports. This process has imported everything already.

Each line on stdin is the port of a worker's health endpoint; each line on stdout is the process id
of the new worker. `--without-claim` gives the workers the defect that the test has to find.
"""

import os
import signal
import sys
from typing import Any
from uuid import uuid4

from fuze_contracts.payment import ChargePayment
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_payment import __main__ as service
from fuze_payment.charge_service import ChargeService
from fuze_payment.domain import Payment
from fuze_psp.provider import Rejected, Succeeded
from fuze_runtime import cli


async def _look_up_charge_insert(self: Any, command: ChargePayment) -> Payment:  # noqa: ANN401 - a patched method
    """Charge without claiming first: look the token up, send under a new key, insert."""
    found = await self._repository.find(command.order_id, command.payment_token)
    if found is not None and found.state.is_settled:
        settled: Payment = found
        return settled
    claimed = await self._repository.claim(command)
    payment: Payment = claimed.payment
    result = await self._operations._kind.submit(payment.model_copy(update={"id": uuid4()}))
    if not isinstance(result, Succeeded | Rejected):
        raise ConnectionError(str(result))
    written: Payment = await self._repository.settle(payment, result)
    return written


def main() -> None:
    """Fork a worker for each line, until the end of stdin."""
    if "--without-claim" in sys.argv:
        ChargeService.charge = _look_up_charge_insert  # type: ignore[method-assign] # the defect
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # killed workers leave no zombies
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os.environ["FUZE_HEALTH_PORT"] = line.strip()
            sys.argv = ["fuze_payment"]
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            cli.main(service.SERVICE, service.run_worker, workflow_log_fields=workflow_log_fields)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
