"""Conformance suites that a third party can run on its own implementation of a seam."""
