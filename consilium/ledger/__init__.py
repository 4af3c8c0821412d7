"""The ledger: who sat, why, what they said and what came of it."""
