"""A real registry on a loopback port, and images put into it by skopeo."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests import ours
from tests.ports import free_port

PROGRAM = "docker-registry"


@contextmanager
def registry(directory: Path, extra: str = "") -> Iterator[str]:
    """Debian's docker-registry, until the block ends; its ``host:port``."""
    assert shutil.which(PROGRAM), "apt-get install docker-registry"
    port = free_port()
    config = directory / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {directory}/data}}\n"
        f"  delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{port}\n  secret: x\n{extra}"
    )
    with open(directory / "registry.log", "wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ours.PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the registry ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the registry does not answer")


def layer(files: dict[str, bytes]) -> bytes:
    """An uncompressed archive with directories for all parents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mtime = 1_700_000_000
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layout(directory: Path, layers: list[bytes], architecture: str = "amd64") -> Path:
    """An OCI layout with one image ``latest`` of these (uncompressed) layers."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, object]:
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        "history": [{"created_by": "test"} for _ in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            **put(json.dumps(config).encode()),
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **put(data)} for data in layers],
    }
    entry = {"mediaType": manifest["mediaType"], **put(json.dumps(manifest).encode())}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return directory


def htpasswd(user: str, password: str) -> str:
    """A line of a password file, by bcrypt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import crypt
    return f"{user}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n"


async def push(source: Path, target: str, *options: str) -> None:
    """``skopeo copy`` of a layout to ``host:port/name:tag``."""
    process = await asyncio.create_subprocess_exec(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        *options,
        f"oci:{source}:latest",
        f"docker://{target}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, problem = await process.communicate()
    assert process.returncode == 0, problem.decode()


@contextmanager
def search_index() -> Iterator[str]:
    """Something to search, with one repository in it; its address."""

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.startswith("/v1/search?")
            found = {"results": [{"name": "me/tool", "star_count": 7, "description": "x" * 60}]}
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
