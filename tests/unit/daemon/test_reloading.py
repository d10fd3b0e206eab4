"""The configuration read again: what changes, what stays, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wharfie.daemon.config import Config, load
from wharfie.daemon.reloading import attributes, reread
from wharfie.errors import InvalidArgument


def begun(tmp_path: Path, document: dict[str, Any], *flags: str) -> tuple[Config, list[str], Path]:
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(document))
    words = ["--config-file", str(path), *flags]
    return load(words), words, path


def test_what_docker_changes_is_changed_and_nothing_else(tmp_path: Path) -> None:
    config, words, path = begun(tmp_path, {"mtu": 1400, "labels": ["a=1"]})
    path.write_text(
        json.dumps(
            {
                "debug": True,
                "labels": ["a=2", "b"],
                "registry-mirrors": ["https://mirror.example"],
                "insecure-registries": ["registry.example:5000"],
                "max-concurrent-downloads": 1,
                "live-restore": True,
                "shutdown-timeout": 3,
                "mtu": 1300,
            }
        )
    )
    fresh = reread(config, words)
    assert (fresh.debug, fresh.log_level, fresh.labels) == (True, 10, ("a=2", "b"))
    assert fresh.registry_mirrors == ("https://mirror.example",)
    assert fresh.insecure_registries == ("registry.example:5000",)
    assert (fresh.max_concurrent_downloads, fresh.shutdown_timeout) == (1, 3)
    assert fresh.mtu == 1400


def test_a_key_that_is_gone_stays_as_it_was_and_limits_get_their_defaults(tmp_path: Path) -> None:
    config, words, path = begun(
        tmp_path,
        {"debug": True, "labels": ["a"], "max-concurrent-downloads": 1},
        "--max-concurrent-uploads=2",
    )
    path.write_text("{}")
    fresh = reread(config, words)
    assert (fresh.debug, fresh.labels) == (True, ("a",))
    assert (fresh.max_concurrent_downloads, fresh.max_concurrent_uploads) == (3, 2)
    path.write_text('{"debug": false, "log-level": "error"}')
    assert reread(fresh, words).log_level == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unable to configure the daemon"),
        ('{"colour": "red"}', "colour"),
        ('{"labels": "a"}', "wrong type"),
        ('{"registry-mirrors": ["nonsense"]}', "mirror"),
        ('{"max-concurrent-uploads": 5}', "both as a flag and in the configuration file"),
    ],
)
def test_what_cannot_be_is_refused_as_at_the_start(tmp_path: Path, text: str, message: str) -> None:
    config, words, path = begun(tmp_path, {}, "--max-concurrent-uploads=2")
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        reread(config, words)


def test_the_event_has_docker_s_names_and_forms(tmp_path: Path) -> None:
    config, _, _ = begun(tmp_path, {"labels": ["a=1"], "debug": True})
    told = attributes(config)
    assert (told["debug"], told["labels"], told["registry-mirrors"]) == ("true", '["a=1"]', "[]")
    assert (told["live-restore"], told["max-concurrent-downloads"]) == ("true", "3")


def test_the_builder_that_clients_are_told_of_can_be_chosen(tmp_path: Path) -> None:
    config, words, path = begun(tmp_path, {"features": {"buildkit": False, "containerd-snapshotter": False}})
    assert config.buildkit is False
    path.write_text('{"features": {"buildkit": true}}')
    assert reread(config, words).buildkit is True
    assert load(["--config-file", str(path)]).buildkit is True
    path.write_text("{}")
    assert load(["--config-file", str(path), "--feature", "buildkit=false"]).buildkit is False
    path.write_text('{"features": {"buildkit": "perhaps"}}')
    with pytest.raises(InvalidArgument, match="invalid feature buildkit=perhaps"):
        load(["--config-file", str(path)])
