"""Run the compiled clients against a stack of their own: `make api-clients`."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from stack_client import StackClient

_BUILD = Path(__file__).with_name("build")
_FUZE = [sys.executable, "-m", "fuze_devstack"]


def main() -> None:
    """Run each client; an error of one ends the run."""
    with tempfile.TemporaryDirectory() as folder:
        stack = StackClient(Path(folder), _FUZE, is_measured=False)
        stack.start()
        try:
            for program in ("openapi_fetch.js", "hey_api.js"):
                url = stack.connection_info["gateway"]["url"]
                subprocess.run(["node", str(_BUILD / program), url], check=True)  # noqa: S607 - from the PATH
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
