"""A token server of the tests' own: passwords and refresh tokens in, signed tokens out.

The real registry checks the tokens (JSON web tokens by RS256 with a certificate it knows), so the server's
answers are judged by the real peer. Signing is done by the openssl program.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SERVICE = "tests"
ISSUER = "tests-issuer"


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A key and a certificate that signs itself, for 127.0.0.1."""
    key, made = directory / f"{name}.key", directory / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:registry.test", "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, made


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """What it was asked, and what it accepts."""

    def __init__(self, directory: Path) -> None:
        self.key, self.certificate = certificate(directory, "token")
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        self.refresh = "refresh-me"
        self.realm = ""
        self.seconds = 300

    def token(self, scopes: list[str]) -> str:
        """A token for these scopes."""
        der = subprocess.run(
            ["openssl", "x509", "-in", str(self.certificate), "-outform", "DER"],
            check=True,
            capture_output=True,
        ).stdout
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "me", "aud": SERVICE, "exp": now + self.seconds, "nbf": now - 5,
                  "iat": now, "jti": str(now), "access": access}  # fmt: skip
        text = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=text.encode(), check=True, capture_output=True,
        )  # fmt: skip
        return f"{text}.{_encoded(signed.stdout)}"

    def configuration(self) -> str:
        """For the registry's configuration file."""
        return (
            f"auth:\n  token: {{realm: {self.realm}, service: {SERVICE}, issuer: {ISSUER}, "
            f"rootcertbundle: {self.certificate}}}\n"
        )

    def answer(self, method: str, query: dict[str, list[str]], authorization: str) -> tuple[int, Any]:
        """Status and JSON."""
        self.asked.append((method, query, authorization))
        scopes = [one for text in query.get("scope", []) for one in text.split()]
        if method == "POST":
            if query.get("refresh_token") != [self.refresh]:
                return 401, {"details": "the refresh token is not known"}
            return 200, {"access_token": self.token(scopes), "refresh_token": self.refresh}
        if authorization != "Basic " + base64.b64encode(b"me:secret").decode():
            return 401, {"details": "wrong password"}
        found = {"token": self.token(scopes)}
        if query.get("offline_token") == ["true"]:
            found["refresh_token"] = self.refresh
        return 200, found


@contextmanager
def serving(directory: Path) -> Iterator[TokenServer]:
    """A token server on a loopback port."""
    tokens = TokenServer(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, method: str, query: str) -> None:
            status, found = tokens.answer(method, parse_qs(query), self.headers.get("Authorization", ""))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tokens.realm = f"http://127.0.0.1:{server.server_port}/token"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield tokens
        finally:
            server.shutdown()
            thread.join()
