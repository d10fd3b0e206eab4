"""``--use-api-socket`` of ``run`` and ``create``: the engine's socket in the container, and who the user is.

What runs there is root on the machine, and has the user's credentials in plain text. As with docker the
socket is where a docker command line looks for it, the credentials are in a file that DOCKER_CONFIG leads to,
and the file is written into the container before it starts.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

from wharfie.cli.context import Context
from wharfie.client import credentials
from wharfie.client.address import ROOT_SOCKET
from wharfie.client.api import query
from wharfie.support import json

SOCKET = "/var/run/docker.sock"
CONFIG = "run/secrets/docker/config.json"


def add(context: Context, body: dict[str, Any]) -> Callable[[str], None]:
    """Put the socket into the body; what is to be done once there is a container. Raises BadCredentials."""
    address = context.api.address
    source = ROOT_SOCKET if address.port or address.remote else address.path
    mount = {"Type": "bind", "Source": source, "Target": SOCKET}
    body["HostConfig"]["Mounts"] = [*body["HostConfig"].get("Mounts", []), mount]
    auths = credentials.everything(context.user)
    if not auths:
        return lambda _identifier: None
    given = body.get("Env") or []
    if not any(one.partition("=")[0] == "DOCKER_CONFIG" for one in given):
        body["Env"] = [*given, f"DOCKER_CONFIG=/{CONFIG.rpartition('/')[0]}"]
    archive = _archive(json.dumps({"auths": auths}).encode())

    def put(identifier: str) -> None:
        context.api.upload(
            "PUT", f"/containers/{identifier}/archive" + query(path="/"), iter([archive])
        ).read()

    return put


def _archive(config: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        parts = CONFIG.split("/")
        for count in range(1, len(parts)):
            directory = tarfile.TarInfo("/".join(parts[:count]))
            directory.type, directory.mode = tarfile.DIRTYPE, 0o700 if count == len(parts) - 1 else 0o755
            archive.addfile(directory)
        file = tarfile.TarInfo(CONFIG)
        file.mode, file.size = 0o600, len(config)
        archive.addfile(file, io.BytesIO(config))
    return packed.getvalue()
