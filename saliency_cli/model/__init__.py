"""What the engine asks of a loaded model: tokens, the embedding hook, passes, heads, devices."""
