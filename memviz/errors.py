"""What goes wrong, in two kinds; every message is one sentence that names the value and the remedy."""

from __future__ import annotations


class MemvizError(Exception):
    """Anything memviz says itself; its text is for the person who asked."""


class InputError(MemvizError, ValueError):
    """What was asked cannot be: the command line ends with 2."""


class Failure(MemvizError, RuntimeError):
    """What was asked can be, and went wrong: the command line ends with 1."""
