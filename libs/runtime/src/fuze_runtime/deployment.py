"""What a process refuses outside `local`, and the settings that allow it.

A settings class lists its own refusals in `refusals`. Each problem is one line at start, and all of
them come at once, together with settings that are missing or invalid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import structlog
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fuze_runtime.database_url import ParsedUrl

_MIN_SECRET_LENGTH = 32

Environment = Literal["local", "staging", "production"]

Settings = Mapping[str, Any]
"""The settings that come before one, by name. Those that are invalid are missing."""


@dataclass(frozen=True)
class Refusal:
    """A value that `setting` must not have outside `local`, unless `allowed_by` is true.

    `find_problem` takes the value and the settings before it, and returns what is wrong.
    """

    setting: str
    allowed_by: str
    find_problem: Callable[[Any, Settings], str | None]


class DeploymentSettings(BaseSettings):
    """Where a process runs, and what it may do there that is refused outside `local`.

    A secret `FUZE_X` can come from the file that `FUZE_X_FILE` names.
    """

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    refusals: ClassVar[tuple[Refusal, ...]] = ()

    environment: Environment = Field(
        "local",
        description="The deployment environment; in every log line. Outside `local` a process"
        " refuses to start with insecure settings.",
    )
    allow_insecure_database: bool = Field(
        default=False,
        description="Outside `local`: allow connections to PostgreSQL that do not verify it.",
    )
    allow_insecure_temporal: bool = Field(
        default=False, description="Outside `local`: allow connections to Temporal without TLS."
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Outside `local`: allow `http://` to providers, carrier and identity provider.",
    )
    allow_weak_secrets: bool = Field(
        default=False,
        description="Outside `local`: allow secrets that are defaults, short or equal.",
    )
    allow_no_authentication: bool = Field(
        default=False, description="Outside `local`: allow callers without authentication."
    )
    allow_sandbox_provider: bool = Field(
        default=False, description="Outside `local`: allow the sandbox as payment provider."
    )
    allow_sandbox_carrier: bool = Field(
        default=False, description="Outside `local`: allow the sandbox as carrier."
    )
    allow_stripe_test_key: bool = Field(
        default=False, description="In `production`: allow a test key of Stripe."
    )
    allow_easypost_test_key: bool = Field(
        default=False, description="In `production`: allow a test key of EasyPost."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the first one first: arguments, then the environment."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _raise_problem_of_source(cls, value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _refuse_outside_local(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("environment") == "local":
            return value
        settings = info.data | {str(info.field_name): value}
        refused = []
        for refusal in cls.collect_refusals():
            if refusal.setting != info.field_name:
                continue
            problem = refusal.find_problem(value, info.data)
            allowing = f"FUZE_{refusal.allowed_by.upper()}=true"
            if problem and settings.get(refusal.allowed_by):
                structlog.get_logger(__name__).warning(
                    "insecure setting allowed",
                    setting=f"FUZE_{refusal.setting.upper()}",
                    problem=problem,
                    allowed_by=allowing,
                )
            elif problem:
                refused.append(f"{problem} (refused outside `local`; {allowing} allows it)")
        if refused:
            raise ValueError("\n".join(refused))
        return value

    @classmethod
    def collect_refusals(cls) -> list[Refusal]:
        """Return the refusals of this class and of those that it is derived from."""
        return [one for base in cls.__mro__ for one in vars(base).get("refusals", ())]


def refuse_insecure_database(url: SecretStr, _: Settings) -> str | None:
    """Find a connection that does not verify the server; a socket needs no TLS."""
    parsed = ParsedUrl.parse(url.get_secret_value())
    if parsed.is_socket or parsed.sslmode in {None, "verify-full"}:
        return None
    return f"sslmode={parsed.sslmode} must be verify-full, which is the default"


def refuse_plain_http(url: object, _: Settings) -> str | None:
    """Find a URL without TLS."""
    return "must begin with https://" if str(url).startswith("http://") else None


def refuse_weak_secret(secret: SecretStr | None, settings: Settings) -> str | None:
    """Find a secret that is short, as every default is, or equal to one before it."""
    if secret is None:
        return None
    if len(secret.get_secret_value()) < _MIN_SECRET_LENGTH:
        return (
            f"must be a secret of at least {_MIN_SECRET_LENGTH} characters, such as"
            " `openssl rand -hex 32` prints"
        )
    same = [name for name, value in settings.items() if value == secret]
    return f"must differ from FUZE_{same[0].upper()}" if same else None


def refuse_sandbox(value: object, _: Settings) -> str | None:
    """Find the sandbox where another provider can be selected."""
    return "must not be the sandbox" if value == "sandbox" else None


def is_secret(field: FieldInfo) -> bool:
    """Return whether the values of a field are secret."""
    return SecretStr in {field.annotation, *get_args(field.annotation)}


class _Environment(EnvSettingsSource):
    """Environment variables, and the files that they name.

    A problem is returned in place of the value, so that it becomes one of its setting.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the variable, or the content of the file that `<NAME>_FILE` names."""
        value, key, is_complex = super().get_field_value(field, field_name)
        variable = f"{self.env_prefix}{field_name}_FILE".upper()
        path = self.env_vars.get(variable.lower()) if is_secret(field) else None
        if path is None:
            return value, key, is_complex
        if value is not None:
            return ValueError(f"is also in {variable}; set one of them"), key, False
        try:
            return Path(path).read_text().rstrip("\r\n"), key, False
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            return ValueError(f"{variable}={path} cannot be read: {reason}"), key, False

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401 - as in the base class
        """Decode a list or an object."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return ValueError("must be JSON")
