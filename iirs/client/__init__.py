"""The client: ``register``, ``login``, ``lookup``, and ``DeadDropSync``, which keeps two people in step."""

from iirs.client.account.entry_calls import Home, login, lookup, register
from iirs.client.sync import DeadDropSync

__all__ = ["DeadDropSync", "Home", "login", "lookup", "register"]
