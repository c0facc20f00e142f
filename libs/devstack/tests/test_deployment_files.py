"""docker-compose.yml and the Kubernetes manifests fit the services that they run."""

import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from fuze_devstack.services import (
    DEPLOYED_SERVICES,
    MIGRATED_SERVICES,
    SERVICES,
    WORKERS,
    Service,
)
from fuze_runtime.settings import MigrationSettings

_ROOT = Path(__file__).parents[3]
_KUBERNETES = _ROOT / "deploy/kubernetes"
_COMPOSE = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["services"]
_TELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT"}
_TEMPORAL = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_TLS"}
_ROLES = (_ROOT / "libs/devstack/src/fuze_devstack/roles.sql").read_text()
_POSTGRES_CONNECTIONS = 100 - 3
"""PostgreSQL's default, without those that it reserves for superusers."""

Variables = set[str]


def _load(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((_KUBERNETES / path).read_text()))


def _find(path: str, kind: str) -> dict[str, Any]:
    [found] = [one for one in _load(path) if one["kind"] == kind]
    return found


def _get_settings(service: Service) -> type[BaseSettings]:
    settings = import_module(f"{service.package}.settings")
    return getattr(settings, f"{service.name.capitalize()}Settings")


def _get_variables(settings: type[BaseSettings], *, required: bool = False) -> Variables:
    return {
        f"FUZE_{name.upper()}"
        for name, field in settings.model_fields.items()
        if field.is_required() or not required
    }


def _get_overlay_variables(overlay: str, service: Service) -> Variables:
    """The keys of the ConfigMap, and what the overlay adds to it and to the service itself."""
    found = {*_find("base/configuration.yaml", "ConfigMap")["data"]}
    for one in _load(f"overlays/{overlay}/kustomization.yaml")[0]["patches"]:
        for operation in yaml.safe_load(one["patch"]):
            if one["target"]["kind"] == "ConfigMap":
                found.add(operation["path"].removeprefix("/data/"))
            elif one["target"]["name"] == service.image:
                found.add(operation["value"]["name"])
    return found


def _iterate_containers() -> Iterator[tuple[str, Variables, type[BaseSettings]]]:
    """Each container with its variables and the settings that read them."""
    for service in DEPLOYED_SERVICES:
        settings = _get_settings(service)
        yield f"compose {service.name}", {*_COMPOSE[service.name]["environment"]}, settings
        workloads: list[tuple[str, str, type[BaseSettings]]]
        workloads = [(f"base/{service.name}.yaml", "Deployment", settings)]
        if service.schema:
            migration = _COMPOSE[f"migrate-{service.name}"]["environment"]
            yield f"compose migrate-{service.name}", {*migration}, MigrationSettings
            workloads += [(f"base/{service.name}.yaml", "Job", MigrationSettings)]
        if service.task_queue:
            workloads += [(f"versioned/{service.name}.yaml", "WorkerDeployment", settings)]
        for path, kind, settings_type in workloads:
            [container] = _find(path, kind)["spec"]["template"]["spec"]["containers"]
            variables = {one["name"] for one in container["env"]}
            for overlay in ("staging", "production"):
                given = variables | _get_overlay_variables(overlay, service)
                yield f"{overlay} {kind} {service.name}", given, settings_type


_CONTAINERS = [pytest.param(*one[1:], id=one[0]) for one in _iterate_containers()]


@pytest.mark.parametrize(("variables", "settings"), _CONTAINERS)
def test_every_variable_is_one_that_the_process_reads(
    variables: Variables, settings: type[BaseSettings]
) -> None:
    assert variables <= _get_variables(settings) | _TEMPORAL | _TELEMETRY


@pytest.mark.parametrize(("variables", "settings"), _CONTAINERS)
def test_every_required_variable_is_set(variables: Variables, settings: type[BaseSettings]) -> None:
    assert variables >= _get_variables(settings, required=True)


@pytest.mark.parametrize("service", DEPLOYED_SERVICES, ids=lambda service: service.name)
def test_kubernetes_lets_only_what_has_a_schema_reach_postgresql(service: Service) -> None:
    labels = _find(f"base/{service.name}.yaml", "Deployment")["spec"]["template"]["metadata"]
    component = labels["labels"]["app.kubernetes.io/component"]
    [policy] = [
        one for one in _load("base/network-policies.yaml") if one["metadata"]["name"] == "database"
    ]
    [selected] = policy["spec"]["podSelector"]["matchExpressions"]

    assert (component in selected["values"]) == bool(service.schema)


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_an_overlay_names_the_image_of_each_service(overlay: str) -> None:
    images = _load(f"overlays/{overlay}/kustomization.yaml")[0]["images"]

    assert {one["name"] for one in images} == {one.image for one in DEPLOYED_SERVICES}


@pytest.mark.parametrize("service", DEPLOYED_SERVICES, ids=lambda service: service.name)
def test_kubernetes_waits_longer_than_a_process_drains(service: Service) -> None:
    drain: timedelta = _get_settings(service).model_fields["shutdown_timeout"].default
    pod = _find(f"base/{service.name}.yaml", "Deployment")["spec"]["template"]["spec"]
    stop_hook = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    period = timedelta(seconds=pod["terminationGracePeriodSeconds"] - stop_hook.get("seconds", 0))

    assert period >= drain + timedelta(seconds=10)


@pytest.mark.parametrize("service", WORKERS, ids=lambda service: service.name)
def test_a_worker_is_scaled_by_the_backlog_of_its_queue_and_never_to_zero(service: Service) -> None:
    scaling = _find(f"base/{service.name}.yaml", "ScaledObject")["spec"]
    [trigger] = scaling["triggers"]
    namespace = _find("base/configuration.yaml", "ConfigMap")["data"]["TEMPORAL_NAMESPACE"]

    assert scaling["minReplicaCount"] >= 1
    assert trigger["metadata"]["taskQueue"] == service.task_queue
    assert trigger["metadata"]["namespace"] == namespace


def _count_connections(service: Service) -> int:
    """With the most processes, during a rolling update; each has one for its health check."""
    path = f"base/{service.name}.yaml"
    deployment = _find(path, "Deployment")["spec"]
    [container] = deployment["template"]["spec"]["containers"]
    [pool] = [one["value"] for one in container["env"] if one["name"].endswith("_POOL_SIZE")]
    scaling = _find(path, "ScaledObject" if service.task_queue else "HorizontalPodAutoscaler")
    most = scaling["spec"].get("maxReplicaCount") or scaling["spec"]["maxReplicas"]
    return (most + deployment["strategy"]["rollingUpdate"]["maxSurge"]) * (int(pool) + 1)


def test_the_largest_number_of_pods_fits_the_connections_of_postgresql() -> None:
    counts = [_count_connections(service) for service in MIGRATED_SERVICES]
    limit = re.search(r"set connection_limit (\d+)", _ROLES)

    assert limit is not None
    assert max(counts) <= int(limit[1])
    assert sum(counts) <= _POSTGRES_CONNECTIONS


@pytest.mark.parametrize("service", MIGRATED_SERVICES, ids=lambda service: service.name)
def test_every_process_has_the_keys_that_encrypt_payloads(service: Service) -> None:
    paths = [(f"base/{service.name}.yaml", "Deployment")]
    paths += [(f"versioned/{service.name}.yaml", "WorkerDeployment")] if service.task_queue else []
    for path, kind in paths:
        [container] = _find(path, kind)["spec"]["template"]["spec"]["containers"]
        assert "FUZE_PAYLOAD_KEYS" in {one["name"] for one in container["env"]}


@pytest.mark.parametrize("name", _COMPOSE)
def test_only_what_has_a_database_role_reaches_postgresql(name: str) -> None:
    has_role = any("DATABASE_URL" in one for one in _COMPOSE[name].get("environment", {}))

    assert ("data" in _COMPOSE[name]["networks"]) == (has_role or name == "postgres")


@pytest.mark.parametrize("service", MIGRATED_SERVICES, ids=lambda service: service.name)
def test_a_service_waits_for_its_own_migration_alone(service: Service) -> None:
    awaited = {one for one in _COMPOSE[service.name]["depends_on"] if one.startswith("migrate-")}

    assert awaited == {f"migrate-{service.name}"}


def test_no_two_services_have_the_same_password() -> None:
    passwords = [
        value.rpartition("@")[0].rpartition("//")[2].partition(":")[2]
        for one in _COMPOSE.values()
        for name, value in one.get("environment", {}).items()
        if name.endswith("DATABASE_URL")
    ]

    assert len(passwords) == len(set(passwords)) == 2 * len(MIGRATED_SERVICES)


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_compose_builds_each_service_under_its_own_name(service: Service) -> None:
    assert _COMPOSE[service.name]["build"]["args"]["SERVICE"] == service.name


@pytest.mark.parametrize("name", _COMPOSE)
def test_a_container_of_compose_writes_nothing_and_has_no_rights_beyond_its_user(name: str) -> None:
    container = _COMPOSE[name]

    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit"} <= container.keys()
