"""The user's credentials for registries: ``config.json`` and the ``docker-credential-…`` programs.

``credHelpers`` names a program for one registry, ``credsStore`` one for all others; without either they are
in the file's ``auths`` (base64, not encrypted). Such ``auths`` in DOCKER_AUTH_CONFIG go before all of it. A
helper is asked by its argument (``get``, ``store``, ``erase``) and standard input; its user name ``<token>``
says that the secret is an identity token.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from typing import Any, NamedTuple

from wharfie.client.errors import BadCredentials
from wharfie.client.settings import Settings
from wharfie.support.files import atomic_write

HUB = "https://index.docker.io/v1/"
ENVIRONMENT = "DOCKER_AUTH_CONFIG"
_TOKEN_USER = "<token>"
_NOT_FOUND = "credentials not found in native keychain"


class Credentials(NamedTuple):
    """What a registry is told."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def header(self, registry: str) -> dict[str, str]:
        """``X-Registry-Auth``; empty without credentials."""
        if self == Credentials():
            return {}
        text = json.dumps(self.config(registry)).encode()
        return {"X-Registry-Auth": base64.urlsafe_b64encode(text).decode()}

    def config(self, registry: str) -> dict[str, str]:
        """Docker's ``AuthConfig``."""
        found = {"username": self.username, "password": self.password, "serveraddress": registry}
        if self.identity_token:
            found["identitytoken"] = self.identity_token
        return {name: value for name, value in found.items() if value}


def registry_of(name: str) -> str:
    """The key under which the credentials for an image's registry are kept."""
    first, slash, _ = name.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return key_of(first) if is_host else HUB


def key_of(server: str) -> str:
    """The same for what a person calls a registry."""
    host = server.removeprefix("https://").removeprefix("http://").rstrip("/").partition("/")[0]
    return HUB if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host


def header(settings: Settings, name: str) -> dict[str, str]:
    """The header with the credentials for the registry that the image ``name`` is in; empty without any."""
    registry = registry_of(name)
    return load(settings, registry).header(registry)


def registry_config(settings: Settings) -> dict[str, str]:
    """The header with all credentials, for a build; empty without any."""
    auths = {name: load(settings, name).config(name) for name in _registries(settings)}
    auths = {name: auth for name, auth in auths.items() if len(auth) > 1}
    if not auths:
        return {}
    return {"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(auths).encode()).decode()}


def everything(settings: Settings) -> dict[str, dict[str, str]]:
    """All there are, as ``auths`` of a file: also what a helper keeps for others. Raises BadCredentials."""
    names = set(_registries(settings))
    store = settings.values.get("credsStore")
    if store:
        try:
            names |= json.loads(_run(str(store), "list", "")).keys()
        except (ValueError, AttributeError) as error:
            raise BadCredentials(f"docker-credential-{store} answers with something else: {error}") from None
    found = {}
    for name in sorted(names):
        known = load(settings, name)
        if known == Credentials():
            continue
        pair = f"{known.username}:{known.password}".encode()
        found[name] = {"auth": base64.b64encode(pair).decode()}
        if known.identity_token:
            found[name]["identitytoken"] = known.identity_token
    return found


def _registries(settings: Settings) -> list[str]:
    values = settings.values
    return sorted({*_of_environment(), *(values.get("auths") or {}), *(values.get("credHelpers") or {})})


def load(settings: Settings, registry: str) -> Credentials:
    """The credentials for a registry; empty ones when there are none. Raises BadCredentials."""
    entry = _entry(_of_environment(), registry)
    helper = _helper(settings, registry)
    if helper and not entry:
        return _ask_helper(helper, registry)
    entry = entry or _entry(settings.values.get("auths") or {}, registry)
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            text = base64.b64decode(entry["auth"], validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise BadCredentials(f"invalid auth configuration file: {registry}: {error}") from None
        user, colon, password = text.partition(":")
        if not colon:
            raise BadCredentials("invalid auth configuration file")
    return Credentials(user, password.rstrip("\0"), str(entry.get("identitytoken") or ""))


def _of_environment() -> dict[str, Any]:
    """``auths`` of DOCKER_AUTH_CONFIG, which go before everything that is kept; raises BadCredentials."""
    text = os.environ.get(ENVIRONMENT)
    try:
        value = json.loads(text) if text else {}
        auths = value.get("auths") or {}
        return {**auths}
    except (ValueError, AttributeError, TypeError) as error:
        raise BadCredentials(f"{ENVIRONMENT} is no JSON with auths: {error}") from None


def _entry(auths: dict[str, Any], registry: str) -> dict[str, Any]:
    found = [auths[key] for key in _spellings(registry) if isinstance(auths.get(key), dict)]
    return found[0] if found else {}


def _spellings(registry: str) -> list[str]:
    return [registry, f"https://{registry}", f"https://{registry}/", f"http://{registry}", f"{registry}/v1/",
            f"https://{registry}/v1/", f"https://{registry}/v2/"]  # fmt: skip


def _helper(settings: Settings, registry: str) -> str:
    helpers = settings.values.get("credHelpers") or {}
    return str(helpers.get(registry) or settings.values.get("credsStore") or "")


def _run(helper: str, verb: str, given: str) -> str:
    """One word with a helper; raises BadCredentials with what it says."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, verb], input=given.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise BadCredentials(
            f'error getting credentials - err: exec: "{program}": executable file not found in $PATH'
        ) from None
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise BadCredentials(f"error {verb} credentials - err: exit status {done.returncode}, out: `{said}`")
    return said


def _ask_helper(helper: str, registry: str) -> Credentials:
    try:
        found = json.loads(_run(helper, "get", registry))
        user, secret = str(found["Username"]), str(found["Secret"])
    except BadCredentials as error:
        if _NOT_FOUND in error.message:
            return Credentials()
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise BadCredentials(f"docker-credential-{helper} answers with something else: {error}") from None
    return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)


def save(settings: Settings, registry: str, found: Credentials) -> bool:
    """Keep credentials; whether they are in the file, unencrypted."""
    helper = _helper(settings, registry)
    if helper:
        user, secret = found.username, found.password
        if found.identity_token:
            user, secret = _TOKEN_USER, found.identity_token
        _run(helper, "store", json.dumps({"ServerURL": registry, "Username": user, "Secret": secret}))
        entry: dict[str, str] = {}
    else:
        pair = f"{found.username}:{'' if found.identity_token else found.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode()}
        if found.identity_token:
            entry["identitytoken"] = found.identity_token
    _change(settings, registry, entry)
    return not helper


def erase(settings: Settings, registry: str) -> bool:
    """Forget credentials; whether there were any."""
    helper = _helper(settings, registry)
    known = any(key in (settings.values.get("auths") or {}) for key in _spellings(registry))
    if helper:
        try:
            _run(helper, "erase", registry)
        except BadCredentials as error:
            if _NOT_FOUND not in error.message:
                raise
    if known:
        _change(settings, registry, None)
    return known or bool(helper)


def _change(settings: Settings, registry: str, entry: dict[str, str] | None) -> None:
    """Write ``config.json`` with one entry changed, and everything else in it as it was."""
    path = os.path.realpath(f"{settings.directory}/config.json")
    try:
        with open(path, encoding="utf-8") as file:
            values: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        values = {}
    except ValueError as error:
        raise BadCredentials(f"{path} cannot be changed: it is not JSON: {error}") from None
    auths = values.setdefault("auths", {})
    for key in _spellings(registry):
        auths.pop(key, None)
    if entry is not None:
        auths[registry] = entry
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    atomic_write(path, json.dumps(values, indent="\t").encode(), mode=0o600)
