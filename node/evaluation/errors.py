"""What goes wrong in an evaluation."""


class EvaluationError(Exception):
    """Embeddings cannot be evaluated as asked; the message says why and what to do."""
