"""Make a service from templates/service and register it: `make new-service NAME=inventory`."""

import argparse
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import copier

from fuze_devstack.services import REGISTRY, SERVICES, WORKERS

_ROOT = Path(__file__).parents[1]
_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")


def main() -> None:
    """Write the service's files, add it to the registry, and generate what follows from that."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a noun in lower case, such as inventory")
    name = parser.parse_args().name
    if not _NAME.fullmatch(name):
        raise SystemExit(f"{name!r} is no name for a service; use lower-case letters and digits")
    taken = [_ROOT / f"services/{name}", _ROOT / f"libs/contracts/src/fuze_contracts/{name}.py"]
    if name in SERVICES or any(path.exists() for path in taken):
        raise SystemExit(f"there is a service or a contract {name}; choose another name")

    data = {"name": name, "version": version("fuze-devstack")}
    copier.run_copy(str(_ROOT / "templates/service"), _ROOT, data=data, defaults=True, quiet=True)
    tidy(name)
    register(name)
    # `make lock` keeps the versions of an existing lock: the new service starts with these.
    shutil.copy(_ROOT / "services/order/requirements.lock", _ROOT / f"services/{name}")
    for script in ("generate.py", "generate_settings.py"):
        subprocess.run([sys.executable, str(_ROOT / "deploy" / script)], check=True)
    print(f"services/{name} is ready; its contract is fuze_contracts.{name}. Next: make test")


def tidy(name: str) -> None:
    """Sort the imports and wrap the lines: both depend on the name."""
    ruff = [sys.executable, "-m", "ruff"]
    paths = [f"services/{name}", f"libs/contracts/src/fuze_contracts/{name}.py"]
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        subprocess.run([*ruff, *command, "--quiet", "--no-cache", *paths], cwd=_ROOT, check=True)


def register(name: str) -> None:
    """Add the service to the registry, with the next free port of a worker."""
    port = max(service.port for service in WORKERS) + 1
    while port in {service.port for service in SERVICES.values()}:
        port += 1
    with REGISTRY.open("a") as registry:
        registry.write(f'\n[{name}]\nport = {port}\ntask_queue = "{name}"\nschema = "{name}"\n')


if __name__ == "__main__":
    main()
