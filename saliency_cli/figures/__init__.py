"""How well predictions agree with gold labels: by label, by slice, and as probabilities."""
