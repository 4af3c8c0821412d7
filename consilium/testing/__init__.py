"""Conformance suites that a third party can run on its own implementation of a seam.

Subclass a suite in a pytest module, say how to open what is to be tested, and run pytest (with pytest-asyncio in its
``auto`` mode): every ``test_`` method is one promise of the seam's protocol.
"""
