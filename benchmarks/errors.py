"""The one exception that a benchmark shows without a traceback."""


class BenchmarkError(Exception):
    """What the user gave, or the machine has, cannot be used; the message says what and why."""
