"""Profiles: gateways by name, each with its credential, in a file that its owner alone can read."""

import os
from pathlib import Path
from typing import Self

import click
from pydantic import BaseModel, ValidationError

LOCAL_URL = "http://127.0.0.1:8000"
"""Where `fuze up` serves the API: the gateway of those who have no profile."""


class Profile(BaseModel):
    """A gateway, and an API key or access token for it."""

    url: str
    token: str | None = None


class Profiles(BaseModel):
    """All profiles; `current` is the name of the one that is used."""

    current: str | None = None
    profiles: dict[str, Profile] = {}

    @classmethod
    def load(cls) -> Self:
        """Return the content of the file, or no profiles where there is none."""
        path = _get_path()
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            raise click.ClickException(
                f"cannot read the profiles in {path}: {reason}; delete it, then: fuze login"
            ) from None

    def save(self) -> Path:
        """Replace the file; return its path."""
        path = _get_path()
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(self.model_dump_json(indent=2) + "\n")
            fresh.replace(path)
        except OSError as error:
            raise click.ClickException(
                f"cannot write {path}: {error.strerror}; choose another folder: XDG_CONFIG_HOME"
            ) from None
        return path

    def get(self, name: str | None) -> Profile:
        """Return the named profile, or the current one, or the gateway of `fuze up`."""
        name = name or self.current
        if name is None:
            return Profile(url=LOCAL_URL)
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "there is none"
            raise click.ClickException(
                f"no profile is named {name} ({known}); create it: fuze login --profile {name}"
            )
        return self.profiles[name]


def _get_path() -> Path:
    return Path(click.get_app_dir("fuze")) / "profiles.json"
