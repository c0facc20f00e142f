"""PostgreSQL from a wheel: the real server, as our own child process."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fuze_devstack.errors import StackError
from fuze_devstack.processes import end_orphans
from fuze_devstack.server_user import postgres_package, server_user
from fuze_devstack.services import ROLES
from fuze_devstack.state import make_state_folder

_OWNER = "fuze_owner"
_CREATE_OWNER = f"""
    DO $$ BEGIN CREATE ROLE {_OWNER} CREATEROLE;
    EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""


class Passwords(BaseModel):
    """One random password a role, and what signs webhooks, made once for a state folder."""

    model_config = ConfigDict(frozen=True)

    superuser: str
    roles: dict[str, str]
    psp_webhooks: str

    @classmethod
    def load_or_create(cls, folder: Path) -> "Passwords":
        """Return the passwords stored in `folder`; create them the first time."""
        path = folder / "secrets.json"
        if path.exists():
            stored = cls.model_validate_json(path.read_bytes())
            if stored.roles.keys() >= {role.name for role in ROLES}:
                return stored
            # The folder is older than one of the roles.
            return cls._store(
                path, stored.model_copy(update={"roles": _passwords() | stored.roles})
            )
        created = cls(
            superuser=secrets.token_urlsafe(18),
            psp_webhooks=secrets.token_urlsafe(24),
            roles=_passwords(),
        )
        return cls._store(path, created)

    @classmethod
    def _store(cls, path: Path, passwords: "Passwords") -> "Passwords":
        path.touch(mode=0o600)
        path.write_text(passwords.model_dump_json(indent=2))
        return passwords


def _passwords() -> dict[str, str]:
    return {role.name: secrets.token_urlsafe(18) for role in ROLES}


class EmbeddedPostgres:
    """A PostgreSQL server on 127.0.0.1, with its data in `folder/postgres`.

    It prepares and describes the server; the caller runs `command`.
    """

    def __init__(self, folder: Path, port: int) -> None:
        make_state_folder(folder)
        self._data = folder.absolute() / "postgres"
        self.port = port
        self._passwords = Passwords.load_or_create(folder)
        self._user = server_user(folder)

    @property
    def command(self) -> list[str]:
        """The server's command line: durable, on TCP only; `popen_options` go with it."""
        return [
            self._user.program("postgres"),
            *("-D", self._user.data_path(self._data), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
        ]

    @property
    def popen_options(self) -> dict[str, Any]:
        """The further arguments of `subprocess.Popen` that start the server."""
        return self._user.popen_options(self._data)

    @property
    def dsn(self) -> str:
        """The connection string of the superuser, for other tools."""
        password = self._passwords.superuser
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/fuze"

    def url(self, role: str, port: int | None = None) -> str:
        """Return SQLAlchemy's URL for a role: `order`, `order_migrator`, …, `gateway`.

        `port` is that of a proxy in front of the server.
        """
        password = self._passwords.roles[role]
        return f"postgresql+asyncpg://fuze_{role}:{password}@127.0.0.1:{port or self.port}/fuze"

    def prepare(self) -> None:
        """Create the data folder the first time; remove what a killed server left, every time.

        Raises:
            StackError: initdb failed, or the data belongs to another user.

        """
        if self._data.exists() and self._data.stat().st_uid != self._user.uid:
            raise StackError(
                f"{self._data} belongs to another user; run as the user that made it, "
                "or choose another folder: --state-dir"
            )
        self._end_orphans()
        self._user.prepare()
        if not (self._data / "PG_VERSION").exists():
            self._initialise()

    def clean_up(self) -> None:
        """Delete what the server needed outside of its folder."""
        self._user.clean_up()

    def is_ready(self) -> bool:
        """Return whether the server accepts connections."""
        command = [_client("pg_isready"), "-q", *self._address("postgres")]
        return subprocess.run(command, env=_without_libpq_settings(), check=False).returncode == 0

    def set_up(self) -> None:
        """Create the database, the roles and the schemas that do not exist.

        The roles are made as in production: by the owner of the database, who is no superuser.
        """
        if not self._find_owner():
            self._psql("postgres", "-c", _CREATE_OWNER)
            self._psql("postgres", "-c", f"CREATE DATABASE fuze OWNER {_OWNER}")
        become_owner = f"SET ROLE {self._find_owner()}"
        self._psql("fuze", "-c", become_owner, "-f", str(Path(__file__).with_name("roles.sql")))

    def _find_owner(self) -> str:
        """Return the role that owns the database; it is empty while there is none."""
        query = "SELECT datdba::regrole FROM pg_database WHERE datname = 'fuze'"
        return self._psql("postgres", "-Atc", query).strip()

    def _psql(self, database: str, *arguments: str) -> str:
        passwords = {role.password_variable: self._passwords.roles[role.name] for role in ROLES}
        done = subprocess.run(
            [
                *(_client("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"),
                *self._address(database),
                *arguments,
            ],
            env={**_without_libpq_settings(), **passwords, "PGPASSWORD": self._passwords.superuser},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"psql failed: {done.stderr.strip()}")
        return done.stdout

    def _address(self, database: str) -> list[str]:
        """Return the options of a client; without a user it would use our own name."""
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]

    def _initialise(self) -> None:
        # Elsewhere, then renamed: an interrupted attempt must not look like a database.
        fresh = self._data.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._user.take_ownership(fresh)
        # A file without a name, which its owner can open as /dev/stdin wherever it is.
        with tempfile.TemporaryFile("w+") as password:
            password.write(self._passwords.superuser)
            password.seek(0)
            self._user.take_ownership(password.fileno())
            done = subprocess.run(
                [
                    *_name_for_initdb(),
                    *(self._user.program("initdb"), "-D", self._user.data_path(fresh)),
                    *("-U", "postgres", "--auth=scram-sha-256", "--pwfile=/dev/stdin"),
                    # PostgreSQL's own C.UTF-8: the system's libraries may have none.
                    *("--encoding=UTF8", "--locale=C"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                stdin=password,
                capture_output=True,
                text=True,
                check=False,
                **self._user.popen_options(fresh),
            )
        if done.returncode:
            raise StackError(f"initdb failed: {done.stderr.strip()}{_advice()}")
        fresh.rename(self._data)

    def _end_orphans(self) -> None:
        """Stop the processes that outlived a killed server, and delete its stale pid file.

        The children of a killed server exit a moment later. Until then a new server refuses to use
        the data.
        """
        end_orphans(self._data, "postgres", signal.SIGINT, kill_after=10)
        (self._data / "postmaster.pid").unlink(missing_ok=True)


def _client(name: str) -> str:
    return str(postgres_package() / "pginstall" / "bin" / name)


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _name_for_initdb() -> list[str]:
    """Return what starts initdb as a user without a name, which initdb itself refuses.

    In a user namespace of its own, our number is that of a user with a name. Some containers do not
    allow such namespaces.
    """
    named = next((one for one in pwd.getpwall() if one.pw_uid), None)
    if _has_name() or named is None or not shutil.which("unshare"):
        return []
    return ["unshare", "--user", f"--map-user={named.pw_uid}", f"--map-group={named.pw_gid}", "--"]


def _advice() -> str:
    if _has_name():
        return ""
    return (
        f"\nthe user {os.geteuid()} has no entry in /etc/passwd; add one, or run as a user with one"
    )


def _without_libpq_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
