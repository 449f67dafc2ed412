"""Methods, noise, scores and their errors, and the engine that fills batches."""
