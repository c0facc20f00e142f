"""Write docs/reference/settings.md and known_variables.txt from the settings: `make settings`.

`--check` writes nothing, and fails when one of them differs.
"""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from generated import ROOT, render, write_or_check
from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

# A new service is not installed yet.
sys.path[:0] = [str(path) for path in ROOT.glob("services/*/src")]

from fuze_contracts.address import Address
from fuze_devstack.services import MIGRATED_SERVICES, ROLES, SERVICES
from fuze_runtime.database_url import PARAMETERS
from fuze_runtime.deployment import DeploymentSettings, is_secret
from fuze_runtime.settings import MigrationSettings

_PAGE = ROOT / "docs/reference/settings.md"
_VARIABLES = ROOT / "libs/runtime/src/fuze_runtime/known_variables.txt"
_MIGRATIONS = "migrations"
_POSTGRES_CONNECTIONS = 100 - 3
_OTHERS = (
    *("FUZE_SANDBOX_HOST", "FUZE_SANDBOX_PORT", "FUZE_SANDBOX_DIR"),
    *("FUZE_SANDBOX_PSP_WEBHOOK_URL", "FUZE_SANDBOX_CARRIER_WEBHOOK_URL"),
    "FUZE_SERVICE",  # of the images
    *("FUZE_STATE_DIR", "FUZE_URL", "FUZE_API_KEY", "FUZE_PROFILE"),  # of the command fuze
    "FUZE_MIGRATION_DATABASE_URLS",
)
"""Variables that no settings class reads."""

_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    SecretStr: "text, *secret*",
    timedelta: "duration",
    list: "list",
    dict: "object",
    Address: "object",
}


class Setting(BaseModel):
    """A row of the page."""

    model_config = ConfigDict(frozen=True)

    variable: str
    type: str
    default: str
    meaning: str


def main() -> None:
    """Write the files, or check them."""
    write_or_check(__doc__, generated_files, source="the settings classes", target="settings")


def generated_files() -> dict[Path, str]:
    """Return the text of every file."""
    processes = dict(_find_settings())
    readers: dict[Setting, list[str]] = {}
    names: dict[str, FieldInfo] = {}
    for process, settings in processes.items():
        for name, field in settings.model_fields.items():
            names[name] = field
            readers.setdefault(_describe(name, field), []).append(process)
    groups: dict[str, list[Setting]] = {}
    for setting, readers_of_it in readers.items():
        groups.setdefault(_name_group(readers_of_it, processes), []).append(setting)
    return {_PAGE: _render_page(processes, groups), _VARIABLES: _list_variables(names)}


def _find_settings() -> Iterator[tuple[str, type[DeploymentSettings]]]:
    """Return the settings class of each service, and that of the migrations."""
    for service in SERVICES.values():
        if find_spec(f"{service.package}.settings") is None:
            continue
        module = import_module(f"{service.package}.settings")
        [settings] = [
            one
            for one in vars(module).values()
            if isinstance(one, type)
            and issubclass(one, DeploymentSettings)
            and one.__module__ == module.__name__
        ]
        yield service.name, settings
    yield _MIGRATIONS, MigrationSettings


def _name_group(readers: list[str], processes: dict[str, Any]) -> str:
    if len(readers) == len(processes):
        return "Every process"
    if readers == [name for name in processes if name != _MIGRATIONS]:
        return "Every service"
    text = ", ".join(readers[:-1]) + f" and {readers[-1]}" if len(readers) > 1 else readers[0]
    return text.capitalize()


def _describe(name: str, field: FieldInfo) -> Setting:
    if not field.description:
        raise SystemExit(f"{name} has no description: Field(…, description=…)")
    return Setting(
        variable=_variable(name),
        type=_describe_type(field.annotation),
        default=_describe_default(field.default),
        meaning=field.description.replace("|", "\\|"),
    )


def _variable(name: str) -> str:
    return f"FUZE_{name.upper()}"


def _describe_type(annotation: Any) -> str:  # noqa: ANN401 - any annotation of a field
    kinds = [one for one in get_args(annotation) if one is not type(None)]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in kinds)
    if origin in _TYPES:
        return _TYPES[origin]
    if annotation in _TYPES:
        return _TYPES[annotation]
    return _describe_type(kinds[0]) if kinds else "URL"


def _describe_default(value: object) -> str:
    match value:
        case timedelta() if not value % timedelta(days=1):
            text = f"{value.days}d"
        case timedelta():
            text = f"{value.total_seconds():g}"
        case bool():
            text = str(value).lower()
        case SecretStr():
            text = value.get_secret_value()
        case list() | dict():
            text = json.dumps(value) if value else ""
        case _ if value is PydanticUndefined:
            return "required"
        case _:
            text = "" if value is None else str(value)
    return f"`{text}`" if text else ""


def _render_page(
    processes: dict[str, type[DeploymentSettings]], groups: dict[str, list[Setting]]
) -> str:
    refusals: dict[str, list[str]] = {}
    for settings in processes.values():
        for one in settings.collect_refusals():
            is_field = one.setting != one.allowed_by
            row = f"`{_variable(one.setting)}`" if is_field else "`TEMPORAL_*` without TLS"
            rows = refusals.setdefault(_variable(one.allowed_by), [])
            if row not in rows:
                rows.append(row)
    pool_size = processes["order"].model_fields["database_pool_size"].default
    pools = [name for name in processes if "database_pool_size" in processes[name].model_fields]
    connections = pool_size * len(pools) + len(MIGRATED_SERVICES)
    return render(
        "settings.md.jinja",
        groups=groups.items(),
        refusals=[(allowed_by, ", ".join(rows)) for allowed_by, rows in refusals.items()],
        parameters=", ".join(f"`{name}`" for name in sorted(PARAMETERS)),
        example_file="FUZE_DATABASE_URL_FILE",
        pool_size=pool_size,
        pools=pools,
        migrations=len(MIGRATED_SERVICES),
        connections=connections,
        replicas=(_POSTGRES_CONNECTIONS - len(MIGRATED_SERVICES)) // (pool_size * len(pools)),
    )


def _list_variables(fields: dict[str, FieldInfo]) -> str:
    names = {_variable(name) for name in fields}
    names |= {f"{_variable(name)}_FILE" for name, field in fields.items() if is_secret(field)}
    names |= {role.password_variable for role in ROLES}
    return "".join(f"{name}\n" for name in sorted({*names, *_OTHERS}))


if __name__ == "__main__":
    main()
