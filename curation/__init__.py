"""From problems to preference pairs: the tables, and the stages that fill them.

Nothing is re-exported: every name has one home, and importing this package imports neither vLLM nor torch.
"""
