"""A seeded defect is in no image of a service, and no service listens to its variable."""

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fuze_chaos.defects import VARIABLE

_ROOT = Path(__file__).parents[3]
_SERVICES = ("order", "payment", "shipping", "gateway")
_SHIPPED = [
    _ROOT / "libs/contracts/src",
    _ROOT / "libs/runtime/src",
    *(_ROOT / f"services/{name}/src" for name in _SERVICES),
]

# Imports all of the services, then says what of the devstack is there, and what their code is.
_DESCRIBE = """
import hashlib, importlib, inspect, json, pkgutil, sys, types

for service in sys.argv[1:]:
    package = importlib.import_module(f"fuze_{service}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)

def code_of(code):
    nested = [code_of(one) if isinstance(one, types.CodeType) else repr(one)
              for one in code.co_consts if not isinstance(one, frozenset)]
    return [code.co_qualname if hasattr(code, "co_qualname") else code.co_name,
            code.co_code.hex(), code.co_names, nested]

code = {}
for name, module in sorted(sys.modules.items()):
    if name.startswith("fuze_"):
        for owner in [module, *(one for one in vars(module).values() if isinstance(one, type))]:
            for key, function in vars(owner).items():
                if inspect.isfunction(function) and function.__module__.startswith("fuze_"):
                    code[f"{name}:{getattr(owner, '__qualname__', '')}.{key}"] = hashlib.sha256(
                        repr(code_of(function.__code__)).encode()).hexdigest()
devstack = sorted(name for name in sys.modules if name.startswith("fuze_devstack"))
print(json.dumps({"devstack": devstack, "code": code}))
"""


def _project(package: str) -> dict[str, object]:
    folder = _ROOT / ("services" if package.removeprefix("fuze-") in _SERVICES else "libs")
    text = (folder / package.removeprefix("fuze-") / "pyproject.toml").read_text()
    return tomllib.loads(text)


def _own_packages_of(package: str) -> set[str]:
    """The packages of this repository that a package needs, however indirectly."""
    project = _project(package)["project"]
    assert isinstance(project, dict)
    extras = project.get("optional-dependencies", {}).values()
    wanted = itertools.chain(project["dependencies"], *extras)
    names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in wanted}
    direct = {name for name in names if name.startswith("fuze-")}
    return direct.union(*(_own_packages_of(name) for name in direct))


@pytest.mark.parametrize("service", _SERVICES)
def test_an_image_holds_its_service_with_contracts_and_runtime_and_nothing_else_of_ours(
    service: str,
) -> None:
    text = (_ROOT / f"services/{service}/Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", text).splitlines()

    copied = {
        source
        for line in lines
        if line.startswith("COPY ") and "--from=build" not in line
        for source in line.split()[1:-1]
    }
    assert copied == {
        "deploy/build.lock",
        f"services/{service}/requirements.lock",
        "libs/contracts",
        "libs/runtime",
        f"services/{service}",
    }
    assert [line for line in lines if line.startswith("COPY --from")] == [
        "COPY --from=build /opt/fuze /opt/fuze"
    ]
    assert not [line for line in lines if line.startswith("ADD ")]
    assert "devstack" not in text


@pytest.mark.parametrize("service", _SERVICES)
def test_a_service_is_installed_without_the_devstack(service: str) -> None:
    assert _own_packages_of(f"fuze-{service}") == {"fuze-contracts", "fuze-runtime"}
    assert "devstack" not in (_ROOT / f"services/{service}/requirements.lock").read_text()


def test_nothing_that_ships_knows_the_variable_or_the_devstack() -> None:
    knowing = [
        str(path.relative_to(_ROOT))
        for source in _SHIPPED
        for path in source.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and (VARIABLE in (text := path.read_text()) or "fuze_devstack" in text)
    ]

    assert knowing == []


def test_a_service_that_is_told_of_a_defect_directly_is_what_it_always_is() -> None:
    usual, told = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", _DESCRIBE, *_SERVICES],
                env=os.environ | {"PYTHONHASHSEED": "0"} | variables,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for variables in ({}, {VARIABLE: "skip-refund"})
    )

    assert told["devstack"] == []
    assert told["code"] == usual["code"]
    for service in _SERVICES:
        assert any(name.startswith(f"fuze_{service}.__main__:") for name in told["code"])
