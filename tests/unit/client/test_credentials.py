"""Where credentials come from: the environment, programs, the file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from wharfie.client import credentials
from wharfie.client.credentials import Credentials
from wharfie.client.errors import BadCredentials
from wharfie.client.settings import Settings

HELPER = """#!/bin/sh
read registry
echo "{\\"Username\\": \\"helped\\", \\"Secret\\": \\"$registry\\"}"
"""


def auths(**named: str) -> dict[str, dict[str, str]]:
    return {name.replace("_", "."): {"auth": base64.b64encode(f"me:{value}".encode()).decode()}
            for name, value in named.items()}  # fmt: skip


def settings(directory: Path, **values: object) -> Settings:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(values))
    return Settings(str(directory))


def test_the_environment_goes_before_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    helper = tmp_path / "docker-credential-stub"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    kept = settings(tmp_path / "kept", auths=auths(a_example="kept", b_example="kept"))
    stored = settings(tmp_path / "stored", credsStore="stub")
    monkeypatch.setenv(
        "DOCKER_AUTH_CONFIG", json.dumps({"auths": auths(b_example="given", c_example="given")})
    )
    assert credentials.load(kept, "a.example") == Credentials("me", "kept")
    assert credentials.load(kept, "b.example") == Credentials("me", "given")
    assert credentials.load(kept, "c.example") == Credentials("me", "given")
    assert credentials.load(stored, "b.example") == Credentials("me", "given")
    assert credentials.load(stored, "a.example") == Credentials("helped", "a.example")
    (header,) = credentials.registry_config(settings(tmp_path, auths=auths(a_example="kept"))).values()
    assert sorted(json.loads(base64.urlsafe_b64decode(header))) == ["a.example", "b.example", "c.example"]


def test_everything_is_what_any_of_them_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    helper = tmp_path / "docker-credential-stub"
    listing = 'if [ "$1" = list ]; then echo \'{"l.example": "helped"}\'; exit; fi\n'
    helper.write_text(HELPER.replace("read registry", listing + "read registry"))
    helper.chmod(0o755)
    found = credentials.everything(settings(tmp_path, credsStore="stub", auths={"a.example": {}}))
    pair = base64.b64encode(b"helped:l.example").decode()
    assert sorted(found) == ["a.example", "l.example"]
    assert found["l.example"] == {"auth": pair}
    assert credentials.everything(settings(tmp_path / "none")) == {}


@pytest.mark.parametrize("text", ["x", "[]", '{"auths": 5}'])
def test_an_environment_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)
    with pytest.raises(BadCredentials, match="DOCKER_AUTH_CONFIG is no JSON with auths"):
        credentials.load(settings(tmp_path), "a.example")
