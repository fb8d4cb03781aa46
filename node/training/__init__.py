"""Small encoders of one's own: what they are, what they learn from, and how. All of it imports torch."""
