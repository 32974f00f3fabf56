"""Configuration: from a file, variables and flags; each mistake is named where it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from unbroken.gateway import Config, ConfigError, Upstream, User, keys, load
from unbroken.gateway.settings import SETTINGS

DIGEST = keys.digest("a key")
WHOLE = f"""
listen = "0.0.0.0:9000"
journal = "redis://cache:6379/0"
linger = 20
workers = 3
log_format = "json"
origins = ["https://app.example"]
[policy]
max_outage = 120
max_fruitless = "none"
[[upstream]]
url = "https://gateway.example/base"
key_env = "THE_KEY"
[[user]]
name = "web"
key_sha256 = "{DIGEST}"
requests_per_minute = 60
streams = 5
output_tokens_per_day = 2000000
max_tokens = 8192
models = ["claude-sonnet-*"]
system = "Answer briefly."
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "gateway.toml"
        path.write_text(text)
        return path

    return write


def test_the_defaults():
    config = load(environ={})
    assert config == Config(policy=config.policy)
    assert (config.host, config.port, config.linger) == ("127.0.0.1", 8484, 15)
    config.check_who_may()


def test_a_whole_file(file):
    config = load(file(WHOLE), {"THE_KEY": "k"})
    assert (config.host, config.port, config.workers) == ("0.0.0.0", 9000, 3)
    assert config.upstream == Upstream("https://gateway.example/base", "k")
    assert config.policy.max_outage == 120
    [user] = config.users
    assert (user.streams, user.models, user.system) == (5, ("claude-sonnet-*",), "Answer briefly.")
    config.check_who_may()


def test_flags_win_over_variables_and_variables_over_the_file(file):
    path = file('listen = "127.0.0.1:1"\nlinger = 1\nworkers = 1')
    environ = {"UNBROKEN_GATEWAY_PORT": "2", "UNBROKEN_GATEWAY_LINGER": "2", "UNBROKEN_PORT": "x"}
    config = load(path, environ, {"linger": "3", "port": None})
    assert (config.host, config.port, config.linger, config.workers) == ("127.0.0.1", 2, 3, 1)


def test_variables_of_the_policy_win_over_the_file(file):
    path = file("[policy]\nmax_outage = 1\nmax_attempts = 3")
    policy = load(path, {"UNBROKEN_MAX_OUTAGE": "2"}).policy
    assert (policy.max_outage, policy.max_attempts) == (2, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = ?", "line 1"),
        ('port = "x"', "port: must be a whole number"),
        ("port = 70000", "port: must be 0 to 65535"),
        ("prot = 1", "prot: there is no such setting; did you mean port?"),
        ("linger = -1", "linger: must be a finite number"),
        ("workers = 0", "workers: must be a whole number of at least 1"),
        ("workers = true", "workers: must be a whole number"),
        ('open = "maybe"', "open: must be true or false"),
        ('listen = "nowhere"', "listen: must be HOST:PORT"),
        ('log_format = "xml"', "log_format: must be one of 'text', 'json'"),
        ('origins = ["*"]', "origins: must be a list of origins"),
        ('secret = "short"', "secret: must be at least 16 characters"),
        ('upstream = "ftp://x"', "upstream.url: must be a URL"),
        ('[[upstream]]\nurl = "http://a"\n[[upstream]]\nurl = "http://b"', "upstream[1]:"),
        ('[[upstream]]\nkey_env = "NOT_SET"', "upstream: key_env names NOT_SET, which is not set"),
        ("[policy]\nmax_outage = -1", "policy.max_outage: max_outage must be a finite number"),
        ("[policy]\nmax_outrage = 1", "policy.max_outrage: there is no such setting; did you"),
        ("policy = 1", "policy: must be a table"),
        ("user = 1", "user: must be tables"),
        ('[[user]]\nname = "a"', "user[0].key_sha256: is missing"),
        (f'[[user]]\nname = "a b"\nkey_sha256 = "{DIGEST}"', "user[0].name: must be"),
        ('[[user]]\nname = "a"\nkey_sha256 = "ub-k"', "user[0].key_sha256: must be 64 hexa"),
        (
            f'[[user]]\nname = "a"\nkey_sha256 = "{DIGEST}"\nstreams = 0',
            "user[0].streams: must be a whole number of at least 1",
        ),
        (
            f'[[user]]\nname = "a"\nkey_sha256 = "{DIGEST}"\nmodels = [1]',
            "user[0].models: must be a text",
        ),
        (
            f'[[user]]\nname="a"\nkey_sha256="{DIGEST}"\n[[user]]\nname="a"\nkey_sha256="{DIGEST}"',
            "user.name: must be another one for each user",
        ),
    ],
)
def test_a_mistake_is_named(file, text, told):
    with pytest.raises(ConfigError) as caught:
        load(file(text), {})
    assert told in str(caught.value)


def test_all_mistakes_are_named_at_once(file):
    with pytest.raises(ConfigError) as caught:
        load(file("linger = -1\nprot = 1\n[policy]\nx = 1"), {"UNBROKEN_GATEWAY_PORT": "y"})
    named = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert set(named) == {"linger", "prot", "policy.x", "UNBROKEN_GATEWAY_PORT"}


def test_a_key_in_the_wrong_place_is_not_shown(file):
    with pytest.raises(ConfigError) as caught:
        load(file('[[user]]\nname = "a"\nkey_sha256 = "ub-secret"'), {})
    assert "ub-secret" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load(file('upstream = "https://user:hunter2@host"'), {})
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_in_a_repr():
    config = Config(upstream=Upstream(key="sk-secret"), users=(User("a", DIGEST),), secret="s" * 20)
    for secret in ("sk-secret", DIGEST, "s" * 20):
        assert secret not in repr(config)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml", {})


USERS = (User("a", DIGEST),)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"host": "0.0.0.0"}, "other machines"),
        ({"host": "::"}, "other machines"),
        ({"host": "gateway.example"}, "other machines"),
        ({"upstream": Upstream(key="k")}, "the upstream has a key"),
    ],
)
def test_strangers_are_not_served_by_accident(fields, told):
    with pytest.raises(ValueError, match=told):
        Config(**fields).check_who_may()
    Config(**fields, users=USERS).check_who_may()
    Config(**fields, open=True).check_who_may()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_needs_no_users(host):
    Config(host=host).check_who_may()


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))


@given(st.dictionaries(st.sampled_from(sorted(SETTINGS)), ANYTHING, max_size=4))
@settings(max_examples=examples(200))
def test_any_values_are_either_good_or_named(flags):
    try:
        config = load(environ={}, flags=flags)
    except ConfigError:
        return
    assert isinstance(config, Config)
