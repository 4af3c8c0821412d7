"""The embedded engine: the base and its members in this process, on a CPU."""
