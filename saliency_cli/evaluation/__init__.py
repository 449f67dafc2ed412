"""Which attribution method to trust on a model: methods are run over a sample, and measured."""
