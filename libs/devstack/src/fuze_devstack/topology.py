"""What a stack is made of, and how each part is started, asked for its health and stopped."""

import asyncio
import os
import signal
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil

from fuze_devstack import http_client
from fuze_devstack.orphans import end_orphans
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres, Passwords

SERVICES = ("order", "payment", "shipping")
"""The services that have a worker."""

SCHEMAS = (*SERVICES, "gateway")
"""The services that have a schema."""


def _nothing() -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Component:
    """One process of the stack.

    `connection_info` is what `stack.json` says of it beside its pid and log. `prepare` runs before
    each
    start, `set_up` once it is ready.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    address: str
    connection_info: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]
    prepare: Callable[[], None] = _nothing
    set_up: Callable[[], None] = _nothing
    stop_signal: signal.Signals = signal.SIGTERM
    # A drain takes what the longest running activity takes, at most 30 s.
    stop_timeout: float = field(default=40.0)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command of a service that ends: a migration, a key to be made."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ServiceOverride:
    """What starts a service instead of its own command, and what it is told beside its settings."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """How a stack differs from the usual one.

    With `auth` callers need an API key. `settings` are further `FUZE_…` variables of the services.
    `routes` says at which port of 127.0.0.1 one component finds another, `payment->postgres`,
    where it is not that one's own. `overrides` starts a service with another command.
    """

    log_level: str = "INFO"
    auth: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, int] = field(default_factory=dict)
    overrides: Mapping[str, ServiceOverride] = field(default_factory=dict)


DEFAULT_OPTIONS = StackOptions()


class StackDefinition:
    """Every part of one stack: its state in `folder`, its ports, what its processes are told."""

    def __init__(self, folder: Path, ports: Ports, options: StackOptions = DEFAULT_OPTIONS) -> None:
        self._folder = folder.absolute()
        self._ports = ports
        self._routes = options.routes
        self._overrides = options.overrides
        self._authentication = "required" if options.auth else "none"
        self._database = EmbeddedPostgres(self._folder, ports.postgres)
        self._webhook_secret = Passwords.of(self._folder).psp_webhooks
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}
        self._environment = inherited | {
            "FUZE_ENVIRONMENT": "local",
            # A profile in the user's home names another server; a proxy cannot reach this machine.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "FUZE_LOG_LEVEL": options.log_level,
            "PYTHONUNBUFFERED": "1",
            **options.settings,
        }

    def infrastructure(self) -> list[Component]:
        """Return what the services stand on."""
        return [self.postgres(), self._temporal(), self._sandbox()]

    def services(self) -> list[Component]:
        """Return the four services."""
        workers = [self._worker(name) for name in SERVICES]
        return [self._overridden(one) for one in (*workers, self._gateway())]

    def _overridden(self, one: Component) -> Component:
        override = self._overrides.get(one.name)
        if override is None:
            return one
        environment = {**one.environment, **override.environment}
        return replace(one, command=override.command, environment=environment)

    def migrations(self) -> list[Job]:
        """Return the schemas to bring up to date."""
        return [self.migration(name, "migrate") for name in SCHEMAS]

    def migration(self, service: str, *arguments: str) -> Job:
        """Return a run of a service's schema commands, as the role that owns the schema."""
        url = self._database.url(f"{service}_migrator")
        return Job(
            name=service,
            command=[sys.executable, "-m", f"fuze_{service}", *arguments],
            environment=self._environment | {"FUZE_MIGRATION_DATABASE_URL": url},
        )

    def key(self) -> Job:
        """Return what makes an API key for this machine, in place of earlier ones."""
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
            connection_info={"dsn": self._database.dsn},
            is_ready=is_ready,
            prepare=self._database.prepare,
            set_up=self._database.set_up,
            stop_signal=signal.SIGINT,  # its fast shutdown: no waiting for idle connections
        )

    def _temporal(self) -> Component:
        binary = str(Path(sysconfig.get_path("scripts")) / "temporal")
        address = f"127.0.0.1:{self._ports.temporal}"
        ui = f"http://127.0.0.1:{self._ports.ui}"
        database = str(self._folder / "temporal.db")
        ask = [binary, "operator", "cluster", "health", "--address", address]

        async def is_ready() -> bool:
            asked = await asyncio.create_subprocess_exec(
                *ask,
                env=self._environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await asked.wait() == 0

        return Component(
            name="temporal",
            command=[
                *(binary, "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"),
                *("--port", str(self._ports.temporal), "--ui-port", str(self._ports.ui)),
                *("--db-filename", database),
            ],
            environment=self._environment,
            address=f"{address}   Web UI {ui}",
            connection_info={"address": address, "ui": ui},
            is_ready=is_ready,
            prepare=lambda: _end_orphans(database),
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
            connection_info={"url": url},
            is_ready=_answers(f"{url}/healthz"),
        )

    def _worker(self, name: str) -> Component:
        port: int = getattr(self._ports, name)
        health = f"http://127.0.0.1:{port}/readyz"
        sandbox = f"http://127.0.0.1:{self._port(name, 'sandbox')}"
        return Component(
            name=name,
            command=[sys.executable, "-m", f"fuze_{name}"],
            environment=self._of_a_client(name)
            | {
                "FUZE_HEALTH_PORT": str(port),
                "FUZE_PSP_URL": f"{sandbox}/psp",
                "FUZE_CARRIER_URL": f"{sandbox}/carrier",
            },
            address=health,
            connection_info={"health": health},
            is_ready=_answers(health),
        )

    def _gateway(self) -> Component:
        url = f"http://127.0.0.1:{self._ports.gateway}"
        return Component(
            name="gateway",
            command=[sys.executable, "-m", "fuze_gateway"],
            environment=self._of_a_client("gateway")
            | {
                "FUZE_AUTHENTICATION": self._authentication,
                "FUZE_PORT": str(self._ports.gateway),
                "FUZE_CARRIER_WEBHOOK_SECRET": self._webhook_secret,
                "FUZE_PSP_WEBHOOK_SECRET": self._webhook_secret,
            },
            address=f"{url}   docs {url}/docs",
            connection_info={"url": url},
            is_ready=_answers(f"{url}/readyz"),
        )

    def _of_a_client(self, name: str) -> dict[str, str]:
        """Return what a process is told that uses PostgreSQL, as the role `name`, and Temporal."""
        return self._environment | {
            "FUZE_DATABASE_URL": self._database.url(name, self._port(name, "postgres")),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self._port(name, 'temporal')}",
            "TEMPORAL_NAMESPACE": "default",
        }

    def _port(self, client: str, server: str) -> int:
        own: int = getattr(self._ports, server)
        return self._routes.get(f"{client}->{server}", own)


def _end_orphans(argument: str) -> None:
    """End what outlived a killed supervisor and has our files; `argument` tells it is ours."""
    orphans = [one for one in psutil.process_iter(["cmdline"]) if argument in _arguments(one)]
    end_orphans(orphans, signal.SIGTERM, patience=20)


def _arguments(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        try:
            async with http_client.create_client() as client:
                return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False

    return is_ready
