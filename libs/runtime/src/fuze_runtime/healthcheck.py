"""Ask the process of this container whether it is ready: `python -m fuze_runtime.healthcheck`.

The exit code is 0 when it is, and 1 when it is not; the output is its answer. It imports the
standard library alone, as it runs every few seconds. FUZE_SERVICE, which the image sets, says whose
variables have the address.
"""

import os
import sys
import urllib.error
import urllib.request

_TIMEOUT_SECONDS = 3
_PREFIXES = {"gateway": "FUZE_", "sandbox": "FUZE_SANDBOX_"}


def main() -> int:
    """Return the exit code."""
    prefix = _PREFIXES.get(os.environ.get("FUZE_SERVICE", ""), "FUZE_HEALTH_")
    host = os.environ.get(f"{prefix}HOST", "127.0.0.1")
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - it is compared
        host = "127.0.0.1"
    url = f"http://{host}:{os.environ[f'{prefix}PORT']}/readyz"
    # Without the proxies of the environment, which cannot reach this container.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as response:
            sys.stdout.write(response.read().decode())
    except urllib.error.HTTPError as error:
        sys.stdout.write(error.read().decode())
        return 1
    except OSError as error:
        sys.stdout.write(f"{url}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
