"""Routing: who should sit in a turn, and how surely."""
