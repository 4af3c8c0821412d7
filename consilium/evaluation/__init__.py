"""Evaluation: how good a member is at its own work."""
