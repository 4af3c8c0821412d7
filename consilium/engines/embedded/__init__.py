"""The embedded engine: transformers and PEFT in this process."""
