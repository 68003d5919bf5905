"""Qwen2 (Yang et al. 2024): built like Llama."""

from mechviz.rankers.families import llama

FAMILY = llama.family("qwen2", "Qwen2")
