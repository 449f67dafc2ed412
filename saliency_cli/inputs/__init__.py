"""Input files: bytes to lines to rows, one format per file in `formats/`."""
