"""Figures of probes, each by a command."""
