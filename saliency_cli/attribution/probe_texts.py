"""Plain texts on which a model is tried when it is loaded."""

TEXT = "A few plain words."
TEXTS = (
    TEXT,
    "A second and longer text stands beside the first, so that the first is padded.",
)
EXTRA_TEXTS = (
    "The train to the coast leaves at nine, and nobody knows when it comes back.",
    "Please send the report to the office before noon, with all the figures of last week.",
)
