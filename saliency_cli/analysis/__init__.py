"""Statistics over the records of a run: words, confusion matrix, suspects and notable rows."""
