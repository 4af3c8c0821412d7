"""Deliberation: how statements become a verdict."""
