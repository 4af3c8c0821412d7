"""Training: from rows of text to an installed adapter."""
