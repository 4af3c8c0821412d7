"""What outcomes teach: credit, off-policy evaluation, the adaptive router, router versions, and reports."""
