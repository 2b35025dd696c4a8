"""A talk: its log, its rows and what is being written."""
