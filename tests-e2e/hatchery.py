"""Payment workers by the dozen: a process that has imported everything forks one for each line.

A worker that starts from nothing takes two seconds of a core, so that killing one a second would
measure imports. A forked one is a process like any other: it is killed by the same signal.

Each line on stdin is the port of a worker's health; each on stdout is the pid of the new worker.
`--without-claim` gives them the defect that proves the test; it is no part of any product.
"""

import os
import signal
import sys
from typing import Any
from uuid import uuid4

from fuze_contracts.payment import ChargePayment
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_payment import __main__ as service
from fuze_payment.charging import Charging
from fuze_payment.provider import Refused, Taken
from fuze_payment.rules import Payment
from fuze_runtime import process


async def _look_up_charge_insert(self: Any, command: ChargePayment) -> Payment:  # noqa: ANN401 - a patched method
    """Charge as most systems do: look the token up, ask under a key of one's own, write."""
    found = await self._repository.find(command.payment_token)
    if found is not None and found.state.is_settled:
        settled: Payment = found
        return settled
    payment = await self._repository.claim(command)
    answer = await self._provider.charge(payment.model_copy(update={"id": uuid4()}))
    if not isinstance(answer, Taken | Refused):
        raise ConnectionError(str(answer))
    written: Payment = await self._repository.settle(payment, answer)
    return written


def main() -> None:
    """Fork a worker a line, until the end of stdin."""
    if "--without-claim" in sys.argv:
        Charging.charge = _look_up_charge_insert  # type: ignore[method-assign] # the defect
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's zombies
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os.environ["FUZE_HEALTH_PORT"] = line.strip()
            sys.argv = ["fuze_payment"]
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            process.main("payment", service.work, workflow_log_fields=workflow_log_fields)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
