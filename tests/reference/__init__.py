"""A second implementation of the protocol: slow, plain, and written from ``docs/`` apart from ``iirs``.

It imports nothing from the program. Two programs that share no line and agree on every vector, and on every
vector with one thing broken, read the documents alike; where they differ, one of them or a document is wrong.
Where the documents leave something open it does what the program does: then they are to be completed.

It keeps no state, draws no randomness, and is no model for how fast or how safely to do things: it compares
secrets with ``==`` and never erases one.

Each function stands for one operation of ``tests/vectors`` and has the names that the vectors use.
"""
