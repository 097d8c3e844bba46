"""Queries the registry about packages, through the npm client only.

npm reads the user's own configuration, so it handles mirrors, proxies and logins.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gobun import toolchain
from gobun.decoding import decoder_of
from gobun.errors import FetchError
from gobun.fetch import integrity
from gobun.fetch.integrity import Integrity
from gobun.fetch.package import Package
from gobun.process import ToolTimeoutError, run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence


_T = TypeVar("_T")

TIMEOUT_S = 150.0

# With npm's defaults (five minutes for a request, a minute between retries), a person without
# a network waits for minutes and sees no progress. The environment overrides these values.
_PATIENCE = {
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "4000",
    "npm_config_fetch_timeout": "30000",
    "npm_config_update_notifier": "false",
}

_NETWORK = {
    "EAI_AGAIN": "the registry's name cannot be resolved",
    "ENOTFOUND": "the registry's name cannot be resolved",
    "ECONNREFUSED": "the registry refuses connections",
    "ECONNRESET": "the registry closed the connection",
    "ERR_SOCKET_TIMEOUT": "the registry does not answer",
    "ETIMEDOUT": "the registry does not answer",
    "EHOSTUNREACH": "the registry cannot be reached",
    "ENETUNREACH": "there is no network",
    "ENOTCACHED": "npm is set to work offline",
}
_CERTIFICATES = {
    "CERT_HAS_EXPIRED": "the registry's certificate has expired",
    "CERT_NOT_YET_VALID": "the registry's certificate is not valid yet",
    "CERT_REVOKED": "the registry's certificate was revoked",
    "ERR_TLS_CERT_ALTNAME_INVALID": "the registry's certificate is for another host",
}
_CERTIFICATE_ERROR = re.compile(
    "UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)_.*|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN"
    "|(CERT|CRL)_.*|INVALID_(CA|PURPOSE)|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH|ERR_(TLS|SSL)_.*"
    "|EPROTO"
)
"""Node's error codes for a host that it does not trust."""
TRUST = (
    "if your network re-signs traffic, name the file of its authority: set NODE_EXTRA_CA_CERTS,"
    " or `npm config set cafile FILE`"
)
"""The hint for an untrusted certificate."""
_CLOCK = "check the clock of this machine; if it is right, ask the registry's operator"
_REFUSALS = {
    "E401": "the registry wants a login",
    "ENEEDAUTH": "the registry wants a login",
    "E403": "the registry forbids it",
    "E404": "the registry does not have it",
}


class UnreachableError(FetchError):
    """The registry cannot be reached. Callers may use local data instead."""


class NpmRelease(msgspec.Struct, frozen=True):
    """The registry's record of one release."""

    package: Package
    tarball: str
    integrity: Integrity


class PackageRecord(msgspec.Struct, frozen=True, rename={"dist_tags": "dist-tags"}):
    """The registry's record of a package."""

    versions: list[str] | str = msgspec.field(default_factory=list)
    """A list, or a single version, which npm writes without a list."""
    dist_tags: dict[str, str] = msgspec.field(default_factory=dict)


class Settings(msgspec.Struct, frozen=True, rename=lambda field: field.replace("_", "-")):
    """The part of npm's configuration for network access."""

    registry: str
    cafile: str | None = None
    ca: str | list[str] | None = None
    https_proxy: str | None = None
    proxy: str | bool | None = None
    noproxy: str | list[str] | None = None
    strict_ssl: bool = True
    replace_registry_host: str = "npmjs"


class _ReleaseRow(
    msgspec.Struct, frozen=True, rename={"integrity": "dist.integrity", "tarball": "dist.tarball"}
):
    version: str
    integrity: str = ""
    tarball: str = ""


class _Problem(msgspec.Struct, frozen=True):
    code: str | None = None
    summary: str | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: _Problem


def package_record(name: str) -> PackageRecord:
    """Return the versions and tags of a package.

    Raises:
        UnreachableError: the registry cannot be reached.
        FetchError: npm failed, or its output has an unknown form.
        PrerequisiteError: npm is missing.
    """
    output = _npm(["view", name, "versions", "dist-tags", "--json"], f"asking npm about {name}")
    return _decode_output(output, PackageRecord, name)


def releases(name: str, versions: Sequence[str]) -> dict[Package, NpmRelease]:
    """Return the registry's records of exact versions, with one call of npm.

    A version that the registry does not have is not in the result.

    Raises:
        UnreachableError: the registry cannot be reached.
        FetchError: npm failed, or its output has an unknown form.
        PrerequisiteError: npm is missing.
    """
    return releases_in_range(name, " || ".join(versions))


def releases_in_range(name: str, versions: str) -> dict[Package, NpmRelease]:
    """Return the registry's records of the versions in a range.

    A prerelease is in the range only if the range names it.

    Raises:
        UnreachableError: the registry cannot be reached.
        FetchError: npm failed, or its output has an unknown form.
        PrerequisiteError: npm is missing.
    """
    fields = ["version", "dist.integrity", "dist.tarball"]
    output = _npm(
        ["view", f"{name}@{versions}", *fields, "--json"],
        f"asking npm where {name} is",
        absent=True,
    )
    if not output.strip():
        return {}
    if not output.lstrip().startswith("["):
        output = f"[{output}]"  # npm writes one match without the list around it
    releases = [_release(name, row) for row in _decode_output(output, list[_ReleaseRow], name)]
    return {release.package: release for release in releases}


def _release(name: str, row: _ReleaseRow) -> NpmRelease:
    package = Package(name, row.version)
    try:
        return NpmRelease(package, row.tarball, integrity.parse(row.integrity))
    except ValueError as error:
        raise FetchError(
            f"the registry's integrity of {package} {error}",
            hint="check `npm config get registry`; a registry without SHA-512 cannot be used",
        ) from error


def settings() -> Settings:
    """Return npm's configuration for network access.

    Raises:
        FetchError: npm cannot read its own configuration.
        PrerequisiteError: npm is missing.
    """
    output = _npm(["config", "list", "--json"], "reading npm's configuration")
    return _decode_output(output, Settings, "npm's configuration")


def own_registry() -> str:
    """Return npm's default registry, whatever the user has configured.

    Raises:
        FetchError: npm does not print it.
        PrerequisiteError: npm is missing.
    """
    # Two paths without content, because npm rejects a path that it has already loaded.
    no_config = ["--userconfig", os.devnull, "--globalconfig", f"{os.devnull}/none"]
    # npm ignores an empty variable, so this hides the configured one.
    return _npm(
        ["config", "get", "registry", *no_config],
        "reading npm's default registry",
        env={"npm_config_registry": "", "NPM_CONFIG_REGISTRY": ""},
    ).strip()


def _npm(
    arguments: Sequence[str], step: str, *, absent: bool = False, env: dict[str, str] | None = None
) -> str:
    patience = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    command = [*toolchain.npm_command(), *arguments]
    try:
        completed = run_tool(command, env=patience | (env or {}), timeout_s=TIMEOUT_S)
    except ToolTimeoutError as error:
        raise UnreachableError(f"{step} failed: no answer in {TIMEOUT_S:.0f} s") from error
    if completed.code == 0:
        return completed.out
    problem = _problem(completed.out)
    code = problem.code or "?"
    if code in _NETWORK:
        raise UnreachableError(f"{step} failed: {_NETWORK[code]} ({code})")
    if _CERTIFICATE_ERROR.fullmatch(code):
        reason = _CERTIFICATES.get(code, "the registry's certificate is not trusted")
        hint = _CLOCK if code in {"CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"} else TRUST
        raise FetchError(f"{step} failed: {reason} ({code})", hint=hint)
    if absent and code == "E404" and "No match" in (problem.summary or ""):
        return ""
    reason = _REFUSALS.get(code) or problem.summary or completed.tail
    raise FetchError(
        f"{step} failed: {reason} ({code})",
        hint="check `npm config get registry`; run `npm login` if the registry needs a login",
    )


def _problem(output: str) -> _Problem:
    try:
        return decoder_of(_Failure).decode(output).error
    except msgspec.MsgspecError:
        return _Problem()


def _decode_output(output: str, kind: type[_T], subject: str) -> _T:
    try:
        return decoder_of(kind).decode(output)
    except msgspec.MsgspecError as error:
        raise FetchError(
            f"npm's answer about {subject} has an unknown form: {error}",
            hint="check the output of `npm view`, and `npm config get registry`",
        ) from error
