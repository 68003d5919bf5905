"""Probes: what heads relate, what words mean inside, which words decide."""
