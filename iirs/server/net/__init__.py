"""Sockets of a server: the listening one, and those that did not take everything at once."""
