"""Records to words, findings, confusion and notable rows."""
