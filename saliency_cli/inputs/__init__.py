"""Bytes to lines to rows."""
