"""Suites: the council beside its controls, on the same rows and at the same price."""
