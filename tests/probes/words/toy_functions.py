"""Functions of which words are there, whose explanations are known."""

import itertools
import math

import numpy as np


def linear(weights, intercept=0.0):
    return lambda keep: intercept + keep @ np.asarray(weights, dtype=float)


def tangled(n, seed=0):
    """Pairs and triples of words act together."""
    rng = np.random.default_rng(seed)
    single, pair, triple = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=(n, n, n))

    def value(keep):
        keep = keep.astype(float)
        return (
            0.7
            + keep @ single
            + np.einsum("si,sj,ij->s", keep, keep, pair)
            + 0.3 * np.einsum("si,sj,sk,ijk->s", keep, keep, keep, triple)
        )

    return value


def shapley_by_orders(value, n):
    """What a word adds when it comes, averaged over every order of coming."""
    total = np.zeros(n)
    for order in itertools.permutations(range(n)):
        keep = np.zeros((n + 1, n), dtype=bool)
        for step, word in enumerate(order):
            keep[step + 1 :, word] = True
        total[list(order)] += np.diff(value(keep))
    return total / math.factorial(n)
