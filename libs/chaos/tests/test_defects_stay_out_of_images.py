"""No image of a service contains the defects, and no service reads their variable."""

import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fuze_chaos.defects.defect import VARIABLE
from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]
_SERVICES = ("order", "payment", "shipping", "webhooks", "gateway")
_DEVELOPMENT = ("devstack", "chaos", "testing")
_PACKAGES = tuple(f"fuze_{name}" for name in _DEVELOPMENT)
_LIBRARIES = {
    "order": ("contracts", "runtime"),
    "payment": ("contracts", "runtime", "psp"),
    "shipping": ("contracts", "runtime"),
    "webhooks": ("contracts", "runtime"),
    "gateway": ("contracts", "runtime", "psp"),
}
_SHIPPED = [
    _ROOT / "libs/contracts/src",
    _ROOT / "libs/runtime/src",
    _ROOT / "libs/psp/src",
    *(_ROOT / f"services/{name}/src" for name in _SERVICES),
]

# Imports all services, then prints the loaded development packages and hashes of the code.
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
development = sorted(
    name for name in sys.modules if name.startswith(("fuze_devstack", "fuze_chaos", "fuze_testing"))
)
print(json.dumps({"development": development, "code": code}))
"""


def _project(package: str) -> dict[str, object]:
    folder = _ROOT / ("services" if package.removeprefix("fuze-") in _SERVICES else "libs")
    text = (folder / package.removeprefix("fuze-") / "pyproject.toml").read_text()
    return tomllib.loads(text)


def _own_packages_of(package: str) -> set[str]:
    """The packages of this repository that a package depends on, transitively."""
    project = _project(package)["project"]
    assert isinstance(project, dict)
    extras = project.get("optional-dependencies", {}).values()
    requirements = itertools.chain(project["dependencies"], *extras)
    names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in requirements}
    direct = {name for name in names if name.startswith("fuze-")}
    return direct.union(*(_own_packages_of(name) for name in direct))


@pytest.mark.parametrize("service", _SERVICES)
def test_a_service_depends_on_no_development_package(service: str) -> None:
    assert _own_packages_of(f"fuze-{service}") == {f"fuze-{name}" for name in _LIBRARIES[service]}
    lock = (_ROOT / f"services/{service}/requirements.lock").read_text()
    assert not [name for name in _DEVELOPMENT if f"fuze-{name}" in lock]


def test_no_shipped_code_mentions_the_variable_or_a_development_package() -> None:
    mentioning = [
        str(path.relative_to(_ROOT))
        for source in _SHIPPED
        for path in source.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and any(word in path.read_text() for word in (VARIABLE, *_PACKAGES))
    ]

    assert mentioning == []


def test_the_variable_changes_no_code_of_a_service_that_is_started_directly() -> None:
    default, with_variable = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", _DESCRIBE, *_SERVICES],
                env=unmeasured_environment() | {"PYTHONHASHSEED": "0"} | variables,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for variables in ({}, {VARIABLE: "skip-refund"})
    )

    assert with_variable["development"] == []
    assert with_variable["code"] == default["code"]
    for service in _SERVICES:
        assert any(name.startswith(f"fuze_{service}.__main__:") for name in with_variable["code"])
