"""Engines: whatever turns (member, messages) into text or likelihoods."""
