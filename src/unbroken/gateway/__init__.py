"""The Messages API behind the recovery of `unbroken`, for any client in any language.

    unbroken serve

or, in an application of your own:

    from unbroken.gateway import Config, Gateway
    from unbroken.journal import SqliteJournal

    gateway = Gateway(Config(), journal=SqliteJournal("streams.db"))
"""

from unbroken.gateway import keys
from unbroken.gateway.app import Gateway
from unbroken.gateway.config import Config, Upstream, User
from unbroken.gateway.settings import ConfigError, load
from unbroken.journal import JournalUnavailable

__all__ = [
    "Config",
    "ConfigError",
    "Gateway",
    "JournalUnavailable",
    "Upstream",
    "User",
    "keys",
    "load",
]
