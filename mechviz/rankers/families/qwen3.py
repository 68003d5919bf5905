"""Qwen3 (Yang et al. 2025), of Qwen3-Embedding and Qwen3-Reranker: built like Llama."""

from mechviz.rankers.families import llama

FAMILY = llama.family("qwen3", "Qwen3")
