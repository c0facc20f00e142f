"""Run a service with a defect in it: `python -m fuze_chaos.defective payment`.

`FUZE_CHAOS_DEFECT` says which one. The service is changed in memory, and then runs as its own
`__main__`, as ever; further arguments are for it.
"""

import os
import runpy
import sys

from fuze_chaos.defects import VARIABLE, seeded_in
from fuze_chaos.patches import DisarmedError
from fuze_chaos.seeds import arm
from fuze_devstack.errors import StackError


def main(arguments: list[str]) -> None:
    """Plant the defect that the environment names, and be the service."""
    service, *told = arguments or [""]
    try:
        defect = seeded_in(os.environ)
        changed = arm(defect) if defect and defect.service == service else []
    except (StackError, DisarmedError) as error:
        raise SystemExit(str(error)) from None
    if not changed:
        raise SystemExit(f"{VARIABLE} names no defect of a service '{service}'")
    sys.stderr.write(f"on purpose, this process has the defect {defect}: {', '.join(changed)}\n")
    package = f"fuze_{service}"
    sys.argv = [package, *told]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
