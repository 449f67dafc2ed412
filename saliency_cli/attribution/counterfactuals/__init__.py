"""Questions about one text that variants of it answer: which words are enough, what changes it.

`answers.counterfactuals` returns the answers as fields of the text's record
(docs/counterfactuals.md).
"""
