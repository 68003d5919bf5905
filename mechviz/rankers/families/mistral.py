"""Mistral (Jiang et al. 2023): built like Llama."""

from mechviz.rankers.families import llama

FAMILY = llama.family("mistral", "Mistral")
