"""The accounts of a server: who is registered, their database, their prekeys."""
