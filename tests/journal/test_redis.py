"""The journal in Redis, on a real server."""

from __future__ import annotations

import pytest

from unbroken.journal import JournalUnavailable
from unbroken.journal.redis import RedisJournal
from unbroken.journal.testkit import JournalTests


class TestRedisJournal(JournalTests):
    @pytest.fixture(autouse=True)
    def _place(self, redis_url):
        self.url = redis_url

    def open(self, **settings):
        return RedisJournal(self.url, **settings)


def test_without_a_server_it_is_unavailable_and_the_password_is_not_told():
    journal = RedisJournal("redis://user:secret-word@127.0.0.1:1/0", timeout=0.5)
    with pytest.raises(JournalUnavailable, match=r"redis://127\.0\.0\.1:1/0") as error:
        journal.claim("k", "a")
    assert "secret-word" not in str(error.value)
    journal.dispose()


@pytest.mark.parametrize(("field", "value"), [("lease", 0), ("ttl", -1), ("timeout", 0)])
def test_wrong_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        RedisJournal("redis://127.0.0.1:1", **{field: value})
