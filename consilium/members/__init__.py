"""Members: personas, their adapters, the catalogue they stand in, and the base model they share."""
