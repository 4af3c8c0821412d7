"""The nodes of a turn, one module each. Each returns what stands in the ledger, and writes it where nothing does."""
