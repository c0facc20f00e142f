"""PostgreSQL's connection URLs, with the parameters of libpq that asyncpg can follow."""

import re
import ssl
from dataclasses import dataclass, field
from typing import Annotated, Self
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_UNENCRYPTED = frozenset({"disable", "allow", "prefer"})
"""These modes accept a connection without TLS."""

_SESSION_ATTRIBUTES = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
_FOR_ASYNCPG = frozenset(
    {
        *("host", "port", "user", "password", "dbname", "options", "target_session_attrs"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey"),
    }
)
_FOR_US = frozenset({"application_name", "connect_timeout"})
"""asyncpg would send the server what it does not know."""

PARAMETERS = _FOR_ASYNCPG | _FOR_US
"""The parameters that a URL may have."""

_SYSTEM = "system"
_ADDRESS = re.compile(r"(?P<host>\[[^]]+\]|[^:\[\]]+)(:(?P<port>\d{1,5}))?")
_MAX_PORT = 65_535
_FORM = (
    "must be postgresql://user:password@host:5432/database; percent-encode @ : / ? # and % of the"
    " password"
)


@dataclass(frozen=True, kw_only=True)
class ParsedUrl:
    """A connection URL. Its representation has no password.

    `dsn` is what asyncpg parses. `connect_timeout` is in seconds, for all hosts together.
    """

    dsn: str = field(repr=False)
    sslmode: str | None
    root_certificates: str | None
    certificate: str | None
    key: str | None
    application_name: str | None
    connect_timeout: float | None
    is_socket: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL.

        Raises:
            ValueError: it is malformed, or has a parameter that is unknown or invalid. The message
                has no part of the URL but the names and values of such parameters.

        """
        parts, parameters = _split(text)
        hosts = unquote(parameters.get("host") or parts.netloc.rpartition("@")[2])
        sslmode = _get_choice(parameters, "sslmode", _SSL_MODES)
        _get_choice(parameters, "target_session_attrs", _SESSION_ATTRIBUTES)
        root = parameters.get("sslrootcert") or None
        if sslmode == "verify-ca" and root in {None, _SYSTEM}:
            raise ValueError("sslmode=verify-ca needs the file of your own CA: &sslrootcert=/…")
        if "sslkey" in parameters and "sslcert" not in parameters:
            raise ValueError("sslkey needs sslcert")
        query = {name: value for name, value in parameters.items() if name in _FOR_ASYNCPG}
        dsn = parts._replace(scheme="postgresql", query=urlencode(query, quote_via=quote))
        return cls(
            dsn=dsn.geturl(),
            sslmode=sslmode,
            root_certificates=None if root == _SYSTEM else root,
            certificate=parameters.get("sslcert"),
            key=parameters.get("sslkey"),
            application_name=parameters.get("application_name"),
            connect_timeout=_parse_timeout(parameters.get("connect_timeout")),
            is_socket=all(host.startswith("/") for host in hosts.split(",")),
        )

    def build_ssl(self, default_mode: str) -> ssl.SSLContext | str:
        """Return what asyncpg takes as `ssl`: a context, or the mode that accepts no TLS.

        Without `sslrootcert` the CAs of the system verify the server.

        Raises:
            ValueError: a file cannot be read, or has no certificate or key.

        """
        mode = self.sslmode or default_mode
        if mode in _UNENCRYPTED or self.is_socket:
            return "disable" if self.is_socket else mode
        try:
            context = ssl.create_default_context(cafile=self.root_certificates)
        except OSError as error:
            raise ValueError(f"sslrootcert={self.root_certificates}: {_explain(error)}") from None
        context.check_hostname = mode == "verify-full"
        if mode == "require" and self.root_certificates is None:
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except OSError as error:
                files = f"sslcert={self.certificate}, sslkey={self.key}"
                raise ValueError(f"{files}: {_explain(error)}") from None
        return context


def _split(text: str) -> tuple[SplitResult, dict[str, str]]:
    """Return the parts of a URL, and its parameters: as in libpq, `+` is no space."""
    try:
        parts = urlsplit(text)
    except ValueError:  # its message may have the password
        raise ValueError(_FORM) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("must begin with postgresql://")
    parameters = {
        unquote(name): unquote(value)
        for name, _, value in (one.partition("=") for one in parts.query.split("&") if one)
    }
    if unknown := sorted(parameters.keys() - PARAMETERS):
        known = ", ".join(sorted(PARAMETERS))
        raise ValueError(f"unknown parameter {unknown[0]}; known are {known}")
    user, _, addresses = parts.netloc.rpartition("@")
    found = [_ADDRESS.fullmatch(address) for address in addresses.split(",") if addresses]
    is_valid = all(one and int(one["port"] or 1) in range(1, _MAX_PORT + 1) for one in found)
    if not is_valid or not (found or parameters.get("host")) or "@" in user or parts.fragment:
        raise ValueError(_FORM)
    return parts, parameters


def _get_choice(parameters: dict[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    value = parameters.get(name)
    if value is not None and value not in choices:
        raise ValueError(f"{name}={value} must be one of {', '.join(choices)}")
    return value


def _parse_timeout(text: str | None) -> float | None:
    """Return seconds; zero is no timeout in libpq, and leaves ours."""
    if text is not None and not text.isdecimal():
        raise ValueError(f"connect_timeout={text} must be a number of seconds")
    return float(text) if text and float(text) else None


def _explain(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate or key in the format PEM, or they do not belong together"
    return error.strerror or str(error)


def _validate(url: SecretStr) -> SecretStr:
    ParsedUrl.parse(url.get_secret_value()).build_ssl("verify-full")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_validate)]
"""A URL as libpq accepts it, `postgresql://…?sslmode=verify-full`: secret, as it has a password."""
