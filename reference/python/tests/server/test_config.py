# SPDX-License-Identifier: Apache-2.0
import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from callchannel.core.limits import Limits
from callchannel.server.config import ConfigError, is_loopback, load_config
from callchannel.server.settings import SETTINGS, TIMES
from callchannel.signalling.limits import SignallingLimits

SPEC = Path(__file__).resolve().parents[4] / "spec"
KEY = "k" * 32
ENV = {"TOKEN_KEY": KEY, "CALLCHANNEL_ADMISSION_KEY_ENV": "TOKEN_KEY"}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "relay.toml"
    file.write_text(text, "utf-8")
    return file


def fault(file: Path | None = None, env: dict[str, str] | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(
            file,
            env=ENV if env is None else env,
            overrides={key.replace("__", "."): value for key, value in overrides.items()},
        )
    error = caught.value
    assert error.where and error.what and error.remedy
    return str(error)


def test_defaults_are_safe() -> None:
    config = load_config(env=ENV)
    assert config["http.host"] == "127.0.0.1"
    assert config.is_loopback and not config.uses_tls and not config["admission.open"]
    assert config.limits == Limits() and config.signalling == SignallingLimits()
    assert config.keys[0].secret == KEY.encode()
    assert KEY not in repr(config)


def test_overrides_come_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, '[http]\nport = 1\nhost = "::1"\n[log]\nlevel = "debug"\n')
    env = {**ENV, "CALLCHANNEL_HTTP_PORT": "2", "CALLCHANNEL_LOG_LEVEL": "error"}
    config = load_config(file, env=env, overrides={"http.port": 3})
    assert (config["http.port"], config["log.level"], config["http.host"]) == (3, "error", "::1")


def test_everything_that_a_file_can_say(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "cred").write_text("secret\n")
    file = write(
        tmp_path,
        f"""
        [http]
        path = "/relay/"
        origins = ["https://App.example", "http://localhost:8000"]
        [admission]
        issuer = "app"
        [[admission.keys]]
        file = "{tmp_path}/key"
        name = "one"
        [[admission.keys]]
        env = "TOKEN_KEY"
        [ice]
        relay_servers = ["stun:stun.example:3478"]
        [[ice.servers]]
        urls = ["stun:stun.example", "turn:turn.example:3478?transport=udp"]
        username = "u"
        credential_file = "{tmp_path}/cred"
        [[ice.servers]]
        urls = ["turns:turn.example"]
        secret_env = "TURN"
        lifetime = 600
        [limits]
        resume_window = 60000
        window = 131072
        token_leeway = 0
        """,
    )
    config = load_config(file, env={"TOKEN_KEY": KEY, "TURN": "shared"})
    assert config["http.path"] == "/relay"
    assert config["http.origins"] == ("https://app.example", "http://localhost:8000")
    assert [key.name for key in config.keys] == ["one", None]
    assert config.limits.resume_window == 60_000_000 and config.limits.window == 131_072
    assert config.signalling.token_leeway == 0
    servers = [server for entry in config.ice for server in entry.servers("anna", 1_000.0)]
    assert [server.url for server in servers] == [
        "stun:stun.example",
        "turn:turn.example:3478?transport=udp",
        "turns:turn.example",
    ]
    assert (servers[0].username, servers[0].credential) == (None, None)
    assert (servers[1].username, servers[1].credential) == ("u", "secret")
    assert servers[2].username is not None and servers[2].username.startswith("1600:")
    assert "anna" not in servers[2].username and servers[2].credential
    assert "shared" not in repr(config) and "secret" not in repr(config.ice)


def test_limits_are_those_of_the_core_and_of_signalling_in_the_units_of_the_registry() -> None:
    rows = tomllib.loads((SPEC / "registry" / "limits.toml").read_text("utf-8"))["limit"]
    registry = {row["name"]: row for row in rows}
    for item in (*dataclasses.fields(Limits), *dataclasses.fields(SignallingLimits)):
        row = registry[item.name]
        assert SETTINGS[f"limits.{item.name}"].default == row["default"]
        for wrong in (row["min"] - 1, row["max"] + 1):
            message = fault(**{f"limits__{item.name}": wrong})
            assert f"override: limits.{item.name}: the value {wrong} does not fit; give a whole number" in message
    assert set(TIMES) == {item.name for item in dataclasses.fields(Limits) if registry[item.name]["unit"] == "ms"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http = 1", ["relay.toml: http", "no such section"]),
        ("[htp]", ["htp", "no such section", "use http, admission"]),
        ("[http]\nprot = 1", ["http.prot", "no such setting", "http.port"]),
        ('[http]\nport = "x"', ["relay.toml: http.port", "'x'", "whole number from 0 to 65535"]),
        ("[http]\nport = true", ["http.port", "True"]),
        ("[http]\nport = 65536", ["http.port", "65536"]),
        ("[http]\nhost = 7", ["http.host", "give a text"]),
        ("[http]\nallow_plain = 1", ["http.allow_plain", "true or false"]),
        ('[http]\norigins = "https://a.example/path"', ["http.origins", "is no origin"]),
        ("[http]\norigins = [7]", ["http.origins"]),
        ("[http]\norigins = 7", ["http.origins", "list"]),
        ('[http]\npath = "relay"', ["http.path", '"/relay"']),
        ('[log]\nformat = "xml"', ["log.format", "plain, json"]),
        ("[admission]\nkeys = 7", ["admission.keys", "[[admission.keys]]"]),
        ('[[admission.keys]]\nsecret = "x"', ["admission.keys, entry 1", "file or env"]),
        ('[[admission.keys]]\nfile = "/nowhere/key"', ["admission.keys, entry 1", "/nowhere/key", "No such file"]),
        ('[[admission.keys]]\nenv = "NOT_SET"', ["NOT_SET", "not set"]),
        ('[[admission.keys]]\nenv = "SHORT"', ["entry 1", "5 bytes", "32 at least"]),
        ("[[ice.servers]]", ["ice.servers, entry 1", "urls"]),
        ('[[ice.servers]]\nurls = ["http://x"]', ["urls are missing or malformed"]),
        ('[[ice.servers]]\nurls = ["turn:x"]', ["TURN server needs credentials"]),
        ('[[ice.servers]]\nurls = ["stun:x"]\npassword = "p"', ["no such setting as password"]),
        ('[[ice.servers]]\nurls = ["turn:x"]\nsecret_env = "NOT_SET"', ["secret can't be read"]),
        ('[[ice.servers]]\nurls = ["stun:x"]\nlifetime = 1', ["60 to 86400"]),
        ('[ice]\nrelay_servers = ["x"]', ["ice.relay_servers", "not a STUN server"]),
        ("[http\n", ["relay.toml", "not TOML", "line 1"]),
        ("[limits]\nwindow = 33554432", ["limits.window", "relay_link_memory"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_a_remedy(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = fault(write(tmp_path, text), {**ENV, "SHORT": "short"})
    for part in parts:
        assert part in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "can't be read: No such file" in fault(tmp_path / "none.toml")
    (tmp_path / "relay.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in fault(tmp_path / "relay.toml")


def test_a_fault_in_the_environment_names_the_variable() -> None:
    message = fault(env={**ENV, "CALLCHANNEL_HTTP_PORT": "many"})
    assert message.startswith("environment variable CALLCHANNEL_HTTP_PORT: http.port")


def test_an_unknown_override_is_an_error() -> None:
    assert "no such setting" in fault(http__prot=1)


def test_no_key_is_no_open_mode() -> None:
    # CC-SIG-038, CC-SIG-027
    assert "no key for tokens is configured" in fault(env={})
    assert load_config(env={}, overrides={"admission.open": True}).keys == ()


def test_open_mode_is_for_loopback_alone() -> None:
    # CC-SIG-035, CC-SIG-062
    assert "can be reached from other machines" in fault(env={}, admission__open=True, http__host="0.0.0.0")
    assert "can be reached from other machines" in fault(
        env={}, admission__open=True, http__host="192.0.2.1", http__allow_plain=True
    )
    assert "every page may connect" in fault(env={}, admission__open=True, http__origins=["*"])


def test_plain_http_beyond_loopback_has_to_be_allowed() -> None:
    # CC-SIG-003
    message = fault(http__host="0.0.0.0")
    assert "in the clear" in message and "http.allow_plain = true" in message
    assert load_config(env=ENV, overrides={"http.host": "0.0.0.0", "http.allow_plain": True})["http.host"] == "0.0.0.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "::ffff:127.0.0.1", "localhost.example", "127.0.0.1.x"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_certificates_that_do_not_load_are_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    overrides = {"http.tls_certificate": str(tmp_path / "cert.pem"), "http.host": "0.0.0.0"}
    config = load_config(env=ENV, overrides=overrides)
    with pytest.raises(ConfigError, match="can't be loaded"):
        config.tls()
    assert "a key without a certificate" in fault(http__tls_key="x")
    assert load_config(env=ENV).tls() is None
