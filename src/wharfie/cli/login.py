"""``login`` and ``logout``."""

from __future__ import annotations

import getpass
import sys

from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client import credentials
from wharfie.client.credentials import HUB, Credentials
from wharfie.client.errors import ApiError

LOGIN = Command(
    "login [OPTIONS] [SERVER]",
    "Authenticate to a registry (Docker Hub, if none is named)",
    (
        ("password", "p", "string", "Password or personal access token"),
        ("password-stdin", "", "flag", "Take the password from standard input"),
        ("username", "u", "string", "Username"),
    ),
    most=1,
)
LOGOUT = Command("logout [SERVER]", "Forget the credentials for a registry", most=1)


def login(context: Context, arguments: list[str]) -> int:
    """``login``."""
    options, words = LOGIN.parse(arguments)
    registry = credentials.key_of(words[0] if words else "")
    user, password = options.get("username") or "", options.get("password") or ""
    if password:
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        if options.get("password-stdin"):
            raise CommandError("conflicting options: cannot specify both --password and --password-stdin")
    if options.get("password-stdin"):
        if not user:
            raise CommandError("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
        if not password:
            raise CommandError("password is empty")
    known = credentials.load(context.user, registry)
    if not user and not password and known != Credentials():
        warn("Authenticating with existing credentials...")
        try:
            return _finish(context, registry, known)
        except ApiError as error:
            if error.status != 401:
                raise
            warn(f"Login did not succeed, error: {error}")
    return _finish(context, registry, _ask(user or "", password, known.username))


def _ask(user: str, password: str, known: str) -> Credentials:
    """What is missing, from the person at the terminal."""
    if user and password:
        return Credentials(user, password)
    if not sys.stdin.isatty():
        raise CommandError("Error: Cannot perform an interactive login from a non TTY device")
    if not user:
        shown = f" ({known})" if known else ""
        sys.stdout.write(f"Username{shown}: ")
        sys.stdout.flush()
        user = sys.stdin.readline().strip() or known
        if not user:
            raise CommandError("Error: Non-null Username Required")
    if not password:
        password = getpass.getpass("Password: ")
        if not password:
            raise CommandError("Error: Password Required")
    return Credentials(user, password)


def _finish(context: Context, registry: str, given: Credentials) -> int:
    """Have the daemon try them, and keep them."""
    answer = context.api.post("/auth", given.config(registry))
    token = answer.get("IdentityToken") or ""
    kept = Credentials(given.username, "", token) if token else given
    if credentials.save(context.user, registry, kept):
        warn(
            f"\nWARNING! Your credentials are stored unencrypted in "
            f"'{context.config_directory}/config.json'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )
    sys.stdout.write(f"{answer.get('Status') or 'Login Succeeded'}\n")
    return 0


def logout(context: Context, arguments: list[str]) -> int:
    """``logout``."""
    _, words = LOGOUT.parse(arguments)
    registry = credentials.key_of(words[0] if words else "")
    shown = registry if registry != HUB else HUB
    sys.stdout.write(f"Removing login credentials for {shown}\n")
    if not credentials.erase(context.user, registry):
        warn(f"Not logged in to {shown}")
    return 0
