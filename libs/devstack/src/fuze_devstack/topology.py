"""The processes of a stack: how each is started, checked and stopped."""

import asyncio
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx

from fuze_devstack import http_client
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres, Passwords
from fuze_devstack.processes import Component, Job, end_orphans
from fuze_devstack.services import MIGRATED_SERVICES, SERVICES, WORKERS, Service

COMPONENTS = ("postgres", "temporal", *SERVICES)
"""Every process of a stack, by its name."""

MIGRATION_URLS = "FUZE_MIGRATION_DATABASE_URLS"
"""The variable with the URL of each role that owns a schema, as a JSON object."""


@dataclass(frozen=True, kw_only=True)
class ServiceOverride:
    """Another command for a service, and variables in addition to its settings."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Options of a stack.

    `auth`: callers need an API key. `settings`: additional `FUZE_…` variables of the services.
    `routes`: the port at which one component reaches another through a proxy, by
    `client->server`, such as `payment->postgres`. `overrides`: other commands, by service.
    """

    log_level: str = "INFO"
    auth: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, int] = field(default_factory=dict)
    overrides: Mapping[str, ServiceOverride] = field(default_factory=dict)


DEFAULT_OPTIONS = StackOptions()


class StackDefinition:
    """The components and jobs of the stack with its state in `folder`."""

    def __init__(self, folder: Path, ports: Ports, options: StackOptions = DEFAULT_OPTIONS) -> None:
        self._folder = folder.absolute()
        self._ports = ports
        self._routes = options.routes
        self._overrides = options.overrides
        self._authentication = "required" if options.auth else "none"
        self._database = EmbeddedPostgres(self._folder, ports.postgres)
        self._webhook_secret = Passwords.load_or_create(self._folder).psp_webhooks
        # The user's variables for other servers do not apply here.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "PG"))}
        # Each workflow imports its modules again in its sandbox: without bytecode it compiles them.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        # Temporal looks its user up, and a user without an entry in /etc/passwd has only these.
        self._environment = {
            "USER": "fuze",
            "HOME": str(self._folder),
            **inherited,
            "FUZE_ENVIRONMENT": "local",
            # A profile in the user's home may name another server; a proxy cannot reach 127.0.0.1.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "FUZE_LOG_LEVEL": options.log_level,
            "PYTHONUNBUFFERED": "1",
            **options.settings,
        }

    def infrastructure(self) -> list[Component]:
        """Return the components that the services need."""
        return [self.postgres(), self._temporal(), self._sandbox()]

    def services(self) -> list[Component]:
        """Return the services, the sandbox excepted."""
        workers = [self._worker(service) for service in WORKERS]
        own = (*workers, self._gateway(), self._console())
        return [self._apply_override(one) for one in own]

    def _apply_override(self, one: Component) -> Component:
        override = self._overrides.get(one.name)
        if override is None:
            return one
        environment = {**one.environment, **override.environment}
        return replace(one, command=override.command, environment=environment)

    def migrations(self) -> Job:
        """Return the job that upgrades every schema."""
        roles = [service.migrator.name for service in MIGRATED_SERVICES]
        urls = json.dumps({role: self._database.url(role) for role in roles})
        return Job(
            name="migrations",
            command=[sys.executable, "-m", "fuze_devstack.migrate_all"],
            environment=self._environment | {MIGRATION_URLS: urls},
        )

    def migration(self, name: str, *arguments: str) -> Job:
        """Return a schema command of a service, as the role that owns the schema."""
        service = SERVICES[name]
        url = self._database.url(service.migrator.name)
        return Job(
            name=name,
            command=[sys.executable, "-m", service.package, *arguments],
            environment=self._environment | {"FUZE_MIGRATION_DATABASE_URL": url},
        )

    def key(self) -> Job:
        """Return the job that creates the API key of this stack and revokes earlier ones."""
        return Job(
            name="API key",
            command=[
                *(sys.executable, "-m", "fuze_gateway", "api-keys", "create", "--development"),
                *("--replace", "--client", "local", "--role", "admin"),
            ],
            environment=self._environment | {"FUZE_DATABASE_URL": self._database.url("gateway")},
        )

    def postgres(self) -> Component:
        """Return the database server."""

        async def is_ready() -> bool:
            return await asyncio.to_thread(self._database.is_ready)

        return Component(
            name="postgres",
            command=self._database.command,
            environment=self._environment,
            address=f"127.0.0.1:{self._ports.postgres}/fuze",
            port=self._ports.postgres,
            connection_info={"dsn": self._database.dsn},
            is_ready=is_ready,
            popen_options=self._database.popen_options,
            prepare=self._database.prepare,
            set_up=self._database.set_up,
            clean_up=self._database.clean_up,
            stop_signal=signal.SIGINT,  # its fast shutdown: no waiting for idle connections
        )

    def _temporal(self) -> Component:
        binary = str(Path(sysconfig.get_path("scripts")) / "temporal")
        address = f"127.0.0.1:{self._ports.temporal}"
        ui = f"http://127.0.0.1:{self._ports.ui}"
        check = [binary, "operator", "cluster", "health", "--address", address]

        async def is_ready() -> bool:
            checking = await asyncio.create_subprocess_exec(
                *check,
                env=self._environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await checking.wait() == 0

        return Component(
            name="temporal",
            command=[
                *(binary, "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"),
                *("--port", str(self._ports.temporal), "--ui-port", str(self._ports.ui)),
                # Relative to its folder: a path with `#`, `?` or `%` would be read as a URL.
                *("--db-filename", "temporal.db"),
            ],
            environment=self._environment,
            address=f"{address}   Web UI {ui}",
            port=self._ports.temporal,
            connection_info={"address": address, "ui": ui},
            is_ready=is_ready,
            popen_options={"cwd": self._folder},
            prepare=partial(end_orphans, self._folder, "temporal", signal.SIGTERM, kill_after=20),
        )

    def _sandbox(self) -> Component:
        url = f"http://127.0.0.1:{self._ports.sandbox}"
        gateway = f"http://127.0.0.1:{self._port('sandbox', 'gateway')}"
        return Component(
            name="sandbox",
            command=[sys.executable, "-m", "fuze_sandbox"],
            environment=self._environment
            | {
                "FUZE_SANDBOX_PORT": str(self._ports.sandbox),
                "FUZE_SANDBOX_DIR": str(self._folder / "sandbox"),
                "FUZE_SANDBOX_PSP_WEBHOOK_URL": f"{gateway}/webhooks/psp",
                "FUZE_SANDBOX_CARRIER_WEBHOOK_URL": f"{gateway}/webhooks/carrier",
                "FUZE_PSP_WEBHOOK_SECRET": self._webhook_secret,
                "FUZE_CARRIER_WEBHOOK_SECRET": self._webhook_secret,
            },
            address=url,
            port=self._ports.sandbox,
            connection_info={"url": url},
            is_ready=_responds(f"{url}/readyz"),
        )

    def _worker(self, service: Service) -> Component:
        name, port = service.name, self._ports[service.name]
        health = f"http://127.0.0.1:{port}/readyz"
        sandbox = f"http://127.0.0.1:{self._port(name, 'sandbox')}"
        return Component(
            name=name,
            command=[sys.executable, "-m", service.package],
            environment=self._client_environment(name)
            | {
                "FUZE_HEALTH_PORT": str(port),
                "FUZE_PSP_URL": f"{sandbox}/psp",
                "FUZE_CARRIER_URL": f"{sandbox}/carrier",
                "FUZE_GATEWAY_URL": f"http://127.0.0.1:{self._port(name, 'gateway')}",
            },
            address=health,
            port=port,
            connection_info={"health": health},
            is_ready=_responds(health),
        )

    def _gateway(self) -> Component:
        url = f"http://127.0.0.1:{self._ports.gateway}"
        return Component(
            name="gateway",
            command=[sys.executable, "-m", "fuze_gateway"],
            environment=self._client_environment("gateway")
            | {
                "FUZE_AUTHENTICATION": self._authentication,
                "FUZE_PORT": str(self._ports.gateway),
                "FUZE_CARRIER_WEBHOOK_SECRET": self._webhook_secret,
                "FUZE_PSP_WEBHOOK_SECRET": self._webhook_secret,
            },
            address=f"{url}   docs {url}/docs",
            port=self._ports.gateway,
            connection_info={"url": url},
            is_ready=_responds(f"{url}/readyz"),
        )

    def _console(self) -> Component:
        url = f"http://127.0.0.1:{self._ports.console}"
        return Component(
            name="console",
            command=[sys.executable, "-m", "fuze_console"],
            environment=self._environment
            | {
                "FUZE_PORT": str(self._ports.console),
                "FUZE_PUBLIC_URL": url,
                "FUZE_GATEWAY_URL": f"http://127.0.0.1:{self._port('console', 'gateway')}",
                "FUZE_TEMPORAL_UI_URL": f"http://127.0.0.1:{self._ports.ui}/namespaces/default",
            },
            address=url,
            port=self._ports.console,
            connection_info={"url": url},
            is_ready=_responds(f"{url}/readyz"),
        )

    def _client_environment(self, name: str) -> dict[str, str]:
        """Return the variables of a service that uses PostgreSQL, as its own role, and Temporal."""
        return self._environment | {
            "FUZE_DATABASE_URL": self._database.url(name, self._port(name, "postgres")),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self._port(name, 'temporal')}",
            "TEMPORAL_NAMESPACE": "default",
        }

    def _port(self, client: str, server: str) -> int:
        return self._routes.get(f"{client}->{server}", self._ports[server])


def _responds(url: str) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        try:
            async with http_client.create_client() as client:
                return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False

    return is_ready
