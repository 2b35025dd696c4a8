"""The client: ``register``, ``login``, ``lookup``, and ``DeadDropSync``, which keeps two people in step."""

from iirs.client.accounts import Home, login, lookup, register
from iirs.client.sync import DeadDropSync

__all__ = ["DeadDropSync", "Home", "login", "lookup", "register"]
