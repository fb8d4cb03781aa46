"""What goes wrong in a benchmark."""


class BenchError(Exception):
    """A benchmark cannot be run as asked; the message says why and what to do."""
