"""Run a service with a defect: `python -m fuze_chaos.defects.runner payment`.

`FUZE_CHAOS_DEFECT` selects the defect. The service is patched in memory, then runs as its own
`__main__`; further arguments are passed to it.
"""

import os
import runpy
import sys

from fuze_chaos.defects.defect import VARIABLE, selected_defect
from fuze_chaos.defects.patches import apply_defect
from fuze_chaos.defects.patching import PatchTargetError
from fuze_devstack.errors import StackError


def main(arguments: list[str]) -> None:
    """Apply the selected defect, and run the service."""
    service, *rest = arguments or [""]
    try:
        defect = selected_defect(os.environ)
        patched = apply_defect(defect) if defect and defect.service == service else []
    except (StackError, PatchTargetError) as error:
        raise SystemExit(str(error)) from None
    if not patched:
        raise SystemExit(f"{VARIABLE} selects no defect of the service '{service}'; set it")
    sys.stderr.write(f"injected defect {defect}: patched {', '.join(patched)}\n")
    package = f"fuze_{service}"
    sys.argv = [package, *rest]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
