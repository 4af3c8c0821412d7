"""Consilium."""
