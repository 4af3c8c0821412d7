"""Where the field already evaluates: the council as a model of inspect_ai and of lm-evaluation-harness."""
