"""Scripts: a play for the council that is also a test. Who may sit, what is said, and what must hold."""
