"""Properties first, then golden files, then examples."""
