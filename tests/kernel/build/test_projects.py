"""Real projects, built from end to end: what comes of them runs, and answers requests."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.build import hosttree
from tests.kernel.build.conftest import Yard

GREET = """#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "greet.h"

void greet(int client, const char *name)
{
    char text[256], body[128];
    snprintf(body, sizeof body, "hello from %s\\n", name);
    snprintf(text, sizeof text, "HTTP/1.0 200 OK\\r\\nContent-Length: %zu\\r\\n\\r\\n%s", strlen(body), body);
    write(client, text, strlen(text));
}
"""
MAIN = """#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "greet.h"

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(8080)};
    char request[1024];
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&here, sizeof here) || listen(server, 5))
        return 1;
    for (;;) {
        int client = accept(server, 0, 0);
        if (read(client, request, sizeof request) > 0)
            greet(client, argc > 1 ? argv[1] : "C");
        close(client);
    }
}
"""
SERVICE = """import http.server
import click

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = click.unstyle(click.style("hello from click " + click.__version__, bold=True)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

@click.command()
@click.option("--port", default=8080)
def serve(port):
    http.server.HTTPServer(("", port), Answer).serve_forever()

serve()
"""


@pytest.fixture(scope="module")
def tools(engine: ours.Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The image ``tools``: gcc, Python and Node of this machine; where they are."""
    place = tmp_path_factory.mktemp("probe")
    source = place / "all.c"
    (place / "greet.h").write_text("void greet(int client, const char *name);\n")
    source.write_text(GREET + MAIN)
    tree = hosttree.Tree()
    links = hosttree.shell(tree)
    hosttree.compiler(tree, source)
    found = {"python": hosttree.python(tree), "node": hosttree.node(tree)}
    words = ("import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", "tools")
    done = engine.cli(*words, stdin=tree.archive(links), timeout=120)
    assert done.returncode == 0, done.stderr
    return found


def answer(yard: Yard, image: str) -> str:
    """What a container of the image says to a request."""
    name = yard.engine.cli("run", "-d", image).stdout.strip()
    try:
        shape = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = yard.engine.cli("inspect", "-f", shape, name).stdout.strip()
        said: list[str] = []
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def asked() -> bool:
            try:
                with direct.open(f"http://{address}:8080/", timeout=10) as found:
                    said.append(found.read().decode())
            except (urllib.error.URLError, ConnectionError):
                assert yard.engine.cli("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"
            return bool(said)

        ours.until(asked, f"{image} answers", 60)
        return said[0]
    finally:
        yard.engine.cli("rm", "-f", name)


def test_a_program_in_c_is_made_in_one_stage_and_alone_in_another(yard: Yard, tools: dict[str, str]) -> None:
    flags = " ".join(hosttree.FLAGS)
    yard.write(
        "FROM tools AS build\nWORKDIR /src\nCOPY src/ .\n"
        f"RUN gcc {flags} -c greet.c && gcc {flags} -c main.c && gcc -static -o /server main.o greet.o\n"
        "FROM scratch\nCOPY --from=build /server /server\nUSER 65534\nEXPOSE 8080\n"
        'ENTRYPOINT ["/server"]\nCMD ["a program in C"]',
        {
            "src/greet.c": GREET,
            "src/main.c": MAIN,
            "src/greet.h": "void greet(int client, const char *name);\n",
        },
    )
    done = yard.build("-t", "in-c")
    assert done.code == 0, done.text
    assert answer(yard, "in-c") == "hello from a program in C\n"
    assert len(json.loads(yard.engine.cli("inspect", "in-c").stdout)[0]["RootFS"]["Layers"]) == 1


@contextmanager
def index(root: Path) -> Iterator[str]:
    """A package index with the wheel of a package that is installed here, put together again."""
    package = importlib.metadata.distribution("click")
    place = root / "simple/click"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / f"click-{package.version}-py3-none-any.whl", "w") as wheel:
        for file in package.files or ():
            if file.suffix != ".pyc" and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                wheel.write(str(package.locate_file(file)), str(file))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Indexed, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()


class Indexed(SimpleHTTPRequestHandler):
    """What it serves may be kept, as what real indexes serve."""

    def end_headers(self) -> None:
        """As the last of them."""
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_web_service_in_python_gets_its_packages_by_pip(
    yard: Yard, tools: dict[str, str], tmp_path: Path
) -> None:
    python = tools["python"]
    yard.write(
        "FROM tools AS base\nENV PYTHONPATH=/app/lib PYTHONDONTWRITEBYTECODE=1\nWORKDIR /app\n"
        "FROM base AS packages\nARG INDEX\nCOPY requirements.txt .\n"
        "RUN --mount=type=cache,target=/root/.cache/pip --mount=from=pip,target=/opt/pip \\\n"
        f"    PYTHONPATH=/opt/pip {python} -m pip install --disable-pip-version-check --no-compile "
        "-i $INDEX --trusted-host 127.0.0.1 --target lib -r requirements.txt\n"
        "FROM base\nCOPY --from=packages /app/lib lib\nCOPY service.py .\nUSER nobody\n"
        f'CMD ["{python}", "service.py", "--port", "8080"]',
        {"requirements.txt": "click\n", "service.py": SERVICE},
    )
    pip = Path(str(importlib.metadata.distribution("pip").locate_file("pip")))
    shutil.copytree(pip, tmp_path / "only/pip", symlinks=True)  # with times, so that what is compiled counts
    with index(tmp_path / "index") as url:
        network = ("--network", "host", "--allow", "network.host", "--build-arg", f"INDEX={url}")
        done = yard.build("-t", "in-python", *network, "--build-context", f"pip={tmp_path}/only")
    assert done.code == 0, done.text
    assert "Successfully installed click-" in done.output
    assert answer(yard, "in-python") == f"hello from click {importlib.metadata.version('click')}"
    kept = yard.engine.cli("builder", "du", "--filter", "type=exec.cachemount").stdout
    assert "cached mount /root/.cache/pip" in kept
    assert " 0B" not in kept, done.output


def test_a_node_application_is_put_together_by_node(yard: Yard, tools: dict[str, str]) -> None:
    node = tools["node"]
    yard.write(
        "FROM tools AS base\nWORKDIR /app\n"
        f"FROM base AS made\nCOPY package.json build.js ./\nCOPY node_modules node_modules\n"
        f"RUN {node} build.js\n"
        "FROM base\nENV NODE_ENV=production\nCOPY --from=made /app/dist dist\n"
        "COPY --from=made /app/node_modules node_modules\nCOPY package.json .\nUSER nobody\n"
        f'CMD ["{node}", "dist/server.js"]',
        {
            "package.json": '{"name": "app", "version": "1.2.3", "dependencies": {"shout": "1.0.0"}}',
            "node_modules/shout/package.json": '{"name": "shout", "version": "1.0.0", "main": "index.js"}',
            "node_modules/shout/index.js": "module.exports = (text) => text.toUpperCase() + '!';\n",
            "build.js": "const fs = require('fs');\nconst { version } = require('./package.json');\n"
            "fs.mkdirSync('dist');\nfs.writeFileSync('dist/server.js', `const shout = require('shout');\n"
            "const answer = shout('node ${version}');\n"
            "require('http').createServer((_, response) => response.end(answer)).listen(8080);`);\n",
        },
    )
    done = yard.build("-t", "in-node")
    assert done.code == 0, done.text
    assert answer(yard, "in-node") == "NODE 1.2.3!"
