from __future__ import annotations

import dataclasses

import pytest

from unbroken import Continuation, FailureKind, Policy
from unbroken._core.environment import SWITCHES, VARIABLES


def test_nothing_set_is_the_default():
    assert Policy.from_env({}) == Policy()
    assert Policy.from_env({"PATH": "/bin", "UNBROKEN_DEADLINE": " "}) == Policy()


def test_every_field_but_the_rules_has_a_variable():
    fields = {field.name for field in dataclasses.fields(Policy)}
    assert set(VARIABLES.values()) == fields - {"rules"}
    assert set(SWITCHES.values()) == set(FailureKind)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("MAX_ATTEMPTS", "3", "max_attempts", 3),
        ("MAX_FRUITLESS", " 2 ", "max_fruitless", 2),
        ("MAX_FRUITLESS", "None", "max_fruitless", None),
        ("MAX_OUTAGE", "1e3", "max_outage", 1000.0),
        ("DEADLINE", "12.5", "deadline", 12.5),
        ("DEADLINE", "None", "deadline", None),
        ("IDLE_TIMEOUT", "none", "idle_timeout", None),
        ("PROGRESS_TIMEOUT", "60", "progress_timeout", 60.0),
        ("MAX_RETRY_AFTER", "0", "max_retry_after", 0.0),
        ("CONTINUATION", "restart", "continuation", Continuation("restart")),
        ("THINKING", "LIVE", "thinking", "live"),
        ("TIME_SCALE", "0", "time_scale", 0.0),
    ],
)
def test_values(name, text, field, value):
    assert getattr(Policy.from_env({f"UNBROKEN_{name}": text}), field) == value


def test_budget():
    assert Policy.from_env({"UNBROKEN_BUDGET": "off"}).budget is None
    budget = Policy.from_env({"UNBROKEN_BUDGET": "7"}).budget
    assert budget is not None
    assert budget.capacity == 7


def test_switches():
    policy = Policy.from_env({"UNBROKEN_RETRY_CONFLICT": "yes", "UNBROKEN_RETRY_OVERLOADED": "0"})
    conflict = policy.rules[FailureKind.CONFLICT]
    assert conflict.retry
    assert conflict.wait is policy.rules[FailureKind.SERVER_ERROR].wait
    assert not policy.rules[FailureKind.OVERLOADED].retry
    assert policy.rules[FailureKind.DROPPED] == Policy().rules[FailureKind.DROPPED]
    same = Policy.from_env({"UNBROKEN_RETRY_DROPPED": "true"})
    assert same == Policy()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("MAX_ATTEMPTS", "many", "must be a whole number, not 'many'"),
        ("MAX_ATTEMPTS", "0", "max_attempts must be a whole number of at least 1, not 0"),
        ("MAX_ATTEMPTS", "none", "must be a whole number, not 'none'"),
        ("MAX_FRUITLESS", "few", "must be a whole number or none, not 'few'"),
        ("MAX_OUTAGE", "none", "must be a number, not 'none'"),
        ("MAX_OUTAGE", "nan", "max_outage must be a finite number of at least 0, not nan"),
        ("DEADLINE", "soon", "must be a number or none, not 'soon'"),
        ("DEADLINE", "-1", "deadline must be a finite number above 0, or None, not -1.0"),
        ("BUDGET", "-1", "must be a number of retries of at least 0, or off, not '-1'"),
        ("CONTINUATION", "on", "continuation must be one of 'auto'"),
        ("THINKING", "off", "thinking must be one of 'whole', 'live', not 'off'"),
        ("RETRY_CONFLICT", "maybe", "must be true or false, not 'maybe'"),
        ("MAX_ATEMPTS", "3", "there is no such variable; did you mean UNBROKEN_MAX_ATTEMPTS"),
        ("RETRY_CONFLICTS", "1", "there is no such variable; did you mean UNBROKEN_RETRY_CONFLICT"),
        ("XYZZY", "3", "there is no such variable$"),
    ],
)
def test_errors_name_the_variable(name, text, words):
    with pytest.raises(ValueError, match=rf"^UNBROKEN_{name}: {words}"):
        Policy.from_env({f"UNBROKEN_{name}": text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SERVICE_HOST", "10.0.0.11"),
        ("SERVICE_PORT", "8484"),
        ("SERVICE_PORT_HTTP", "8484"),
        ("SERVICE_PORT_HTTP_METRICS2", "9090"),
        ("PORT", "tcp://10.0.0.11:8484"),
        ("PORT_8484_TCP", "tcp://10.0.0.11:8484"),
        ("PORT_8484_TCP_PROTO", "tcp"),
        ("PORT_8484_TCP_PORT", "8484"),
        ("PORT_8484_TCP_ADDR", "10.0.0.11"),
        ("PORT_53_UDP", "udp://10.0.0.11:53"),
        ("PORT_9_SCTP_ADDR", "10.0.0.11"),
        ("GATEWAY_SERVICE_HOST", "10.0.0.12"),
        ("REDIS_PORT", "tcp://10.0.0.13:6379"),
        ("REDIS_MASTER_PORT_6379_TCP_ADDR", "10.0.0.13"),
        ("JOURNAL", "sqlite:///answers.db"),
        ("GATEWAY_LISTEN", "127.0.0.1:8484"),
    ],
)
def test_variables_of_kubernetes_and_of_other_features_are_passed_over(name, text):
    assert Policy.from_env({f"UNBROKEN_{name}": text}) == Policy()


@pytest.mark.parametrize(
    "name", ["HOST", "PORTS", "PORT_HTTP", "SERVICE", "PORT_8484", "PORT_8484_TCP_X", "JOURNALS"]
)
def test_names_that_are_only_like_those_are_unknown(name):
    with pytest.raises(ValueError, match=f"UNBROKEN_{name}: there is no such variable"):
        Policy.from_env({f"UNBROKEN_{name}": "1"})


def test_all_errors_are_told_at_once():
    with pytest.raises(ValueError, match=r"UNBROKEN_DEADLINE.*UNBROKEN_THINKING"):
        Policy.from_env({"UNBROKEN_DEADLINE": "x", "UNBROKEN_THINKING": "x"})


def test_the_process_environment_is_read(monkeypatch):
    monkeypatch.setenv("UNBROKEN_MAX_ATTEMPTS", "3")
    assert Policy.from_env().max_attempts == 3


def test_a_subclass_makes_its_own():
    class Mine(Policy):
        pass

    assert type(Mine.from_env({})) is Mine
