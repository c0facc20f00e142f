"""Write the files that follow from the registry of services: `make services`.

`--check` writes nothing, and fails when one of them differs.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomlkit
from generated import ROOT, render, write_or_check

from fuze_devstack.services import DEPLOYED_SERVICES, ROLES, SERVICES, WORKERS, Service

_ROLES_SQL = ROOT / "libs/devstack/src/fuze_devstack/roles.sql"


def main() -> None:
    """Write the files, or check them."""
    write_or_check(__doc__, generated_files, source="services.toml", target="services")


def generated_files() -> dict[Path, str]:
    """Return the text of every file."""
    return {
        ROOT / "docker-compose.yml": _render("docker-compose.yml.jinja"),
        _ROLES_SQL: _render("roles.sql.jinja"),
        ROOT / "pyproject.toml": _render_pyproject(),
        **_render_kubernetes(),
    }


def _render_kubernetes() -> dict[Path, str]:
    folder = ROOT / "deploy/kubernetes"
    return {
        folder / "base/kustomization.yaml": _render("kubernetes/base.yaml.jinja"),
        folder / "versioned/kustomization.yaml": _render("kubernetes/component.yaml.jinja"),
        **{
            folder / f"base/{service.name}.yaml": _render("kubernetes/service.yaml.jinja", service)
            for service in DEPLOYED_SERVICES
        },
        **{
            folder / f"versioned/{service.name}.yaml": _render(
                "kubernetes/versioned.yaml.jinja", service
            )
            for service in WORKERS
        },
    }


def _render(template: str, service: Service | None = None) -> str:
    return render(
        template,
        registry=SERVICES,
        service=service,
        services=SERVICES.values(),
        roles=ROLES,
        version=version("fuze-devstack"),
    )


def _render_pyproject() -> str:
    libraries = sorted(path.parent.name for path in ROOT.glob("libs/*/pyproject.toml"))
    services = [service.package for service in SERVICES.values()]
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text())
    tools: Any = project["tool"]
    tools["mypy"]["mypy_path"] = _list(
        [
            "deploy",  # its scripts import each other
            *(f"libs/{name}/src" for name in libraries),
            *(f"services/{name}/src" for name in SERVICES),
        ]
    )
    linter = tools["importlinter"]
    linter["root_packages"] = _list([*(f"fuze_{name}" for name in libraries), *services])
    contracts = {contract["name"]: contract for contract in linter["contracts"]}
    contracts["Services do not import each other"]["modules"] = _list(services)
    contracts["The stack imports no service"]["modules"] = _list(["fuze_devstack", *services])
    contracts["Bench and chaos import no service"]["modules"] = _list(
        ["fuze_bench", "fuze_chaos", *services]
    )
    contracts["The client is installed without the rest of Fuze"]["forbidden_modules"] = _list(
        [*(f"fuze_{name}" for name in libraries if name != "client"), *services]
    )
    layers = contracts["Services build on libraries"]["layers"]
    layers[0] = " | ".join(services)
    return tomlkit.dumps(project)


def _list(names: list[str]) -> tomlkit.items.Array:
    array = tomlkit.array()
    array.extend(names)
    return array.multiline(multiline=True)


if __name__ == "__main__":
    main()
