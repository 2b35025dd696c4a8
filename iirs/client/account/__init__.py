"""Registering and logging in, password keys, changes of an account, one's own prekeys."""
