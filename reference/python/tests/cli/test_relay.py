# SPDX-License-Identifier: Apache-2.0
"""`callchannel relay`: what its arguments say to the server."""

import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callchannel.cli import relay
from callchannel.cli.main import main
from callchannel.server.config import ServerConfig

KEY = "an example key of at least 32 bytes, never to be used"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServerConfig]:
    """The configurations that a server was run with."""
    found: list[ServerConfig] = []
    monkeypatch.setattr(relay, "run_server", found.append)
    return found


def test_arguments_become_settings(served: list[ServerConfig], tmp_path: Path) -> None:
    key, config = tmp_path / "token.key", tmp_path / "relay.toml"
    key.write_text(KEY)
    config.write_text('[http]\nport = 1\npath = "/relay"\n')
    arguments = ["--config", str(config), "--key-file", str(key), "--port", "0", "--host", "localhost", "--json"]
    arguments += ["--origin", "https://a.example", "--origin", "https://b.example"]
    assert main(["relay", *arguments, "--set", "limits.resume_window=60000"]) == 0
    (found,) = served
    assert (found["http.port"], found["http.host"], found["http.path"]) == (0, "localhost", "/relay")
    assert found["http.origins"] == ("https://a.example", "https://b.example")
    assert found["log.format"] == "json"
    assert found.limits.resume_window == 60_000_000
    assert [key.secret for key in found.keys] == [KEY.encode()]
    assert not found["admission.open"]


def test_open_mode_is_on_loopback(served: list[ServerConfig], capsys: pytest.CaptureFixture[str]) -> None:
    # CC-SIG-035, CC-SIG-038
    assert main(["relay", "--open"]) == 0
    assert served[0]["admission.open"]
    assert served[0].is_loopback
    assert main(["relay", "--open", "--host", "0.0.0.0"]) == 2
    assert "open mode is on" in capsys.readouterr().err
    assert main(["relay"]) == 2
    assert "no key for tokens" in capsys.readouterr().err
    assert len(served) == 1


@pytest.mark.parametrize("setting", ["limits.resume_window", "no.setting=1", "http.port=x"])
def test_a_wrong_setting(setting: str, served: list[ServerConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--open", "--set", setting]) == 2
    assert setting.partition("=")[0] in capsys.readouterr().err
    assert not served


def test_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--list-settings"]) == 0
    text = capsys.readouterr().out
    for name in ("http.port = 8080", "CALLCHANNEL_HTTP_PORT", "limits.resume_window = 30000", "server.calls"):
        assert name in text


def test_a_relay_that_can_not_listen_says_that_alone(cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = cli("relay", "--open", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "can't be listened on" in line


def test_it_serves_and_stops_gracefully(start: Any, wait_listening: Callable[[Any], str]) -> None:
    process = start("relay", "--open", "--port", "0", "--json")
    url = wait_listening(process)
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url + "/health") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert '"relay stopped"' in log
