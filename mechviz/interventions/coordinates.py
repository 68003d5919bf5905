"""The modules that compute coordinates, those that are learned among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

#: Temperatures of sigmoids, from the first step to the last (Wu et al. 2023).
TEMPERATURES = (50.0, 0.1)


class Coordinates(nn.Module):
    """Coordinates of features, and the way back.

    Attributes
    ----------
    width : int
        Number of features.
    temperature : Tensor
        Of sigmoids, where there are any.
    """

    temperature: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("temperature", torch.tensor(TEMPERATURES[1]))

    @abstractmethod
    def encode(self, features: Tensor) -> Tensor:
        """Return coordinates, dims (..., coordinate), of features, dims (..., feature)."""

    @abstractmethod
    def decode(self, change: Tensor) -> Tensor:
        """Return the change of features, dims (..., feature), that a change of coordinates makes."""

    def penalty(self) -> Tensor | None:
        """Return what is added to the loss; None for nothing."""
        return None

    def says(self) -> str:
        """Return what was learned, in a few words."""
        return ""


class Picked(Coordinates):
    """Some features."""

    def __init__(self, width: int, indices: Sequence[int]) -> None:
        super().__init__(width)
        self.indices = list(indices)

    @override
    def encode(self, features: Tensor) -> Tensor:
        return features[..., self.indices]

    @override
    def decode(self, change: Tensor) -> Tensor:
        whole = change.new_zeros(*change.shape[:-1], self.width)
        whole[..., self.indices] = change
        return whole


class Linear(Coordinates):
    """Given orthonormal directions, dims (feature, coordinate)."""

    directions: Tensor

    def __init__(self, directions: Tensor) -> None:
        super().__init__(len(directions))
        self.register_buffer("directions", directions)

    @override
    def encode(self, features: Tensor) -> Tensor:
        return features @ self.directions

    @override
    def decode(self, change: Tensor) -> Tensor:
        return change @ self.directions.T


class Latents(Coordinates):
    """Latents of an autoencoder; see `mechviz.interventions.subspaces.Autoencoder`."""

    def __init__(self, arrays: Mapping[str, Tensor], latents: Sequence[int] | None, center: bool) -> None:
        super().__init__(len(arrays["encoder"]))
        for name, array in arrays.items():
            self.register_buffer(name, array)
        self.latents = slice(None) if latents is None else list(latents)
        self.center = center

    @override
    def encode(self, features: Tensor) -> Tensor:
        buffers = dict(self.named_buffers())
        centred = features - buffers["decoder_bias"] if self.center else features
        before = centred @ buffers["encoder"][:, self.latents] + buffers["encoder_bias"][self.latents]
        if "threshold" not in buffers:
            return before.relu()
        return before * (before > buffers["threshold"][self.latents])

    @override
    def decode(self, change: Tensor) -> Tensor:
        return change @ dict(self.named_buffers())["decoder"][self.latents]


class Rotation(Coordinates):
    """Learned orthonormal directions: those of the QR decomposition of a free matrix, so that no step can bend them."""

    def __init__(self, width: int, rank: int, seed: int) -> None:
        super().__init__(width)
        self.rank = rank
        start = np.random.default_rng(seed).standard_normal((width, rank))
        self.weight = nn.Parameter(torch.tensor(np.linalg.qr(start)[0], dtype=torch.float32))

    @property
    def directions(self) -> Tensor:
        """The directions, dims (feature, coordinate), orthonormal."""
        q, r = torch.linalg.qr(self.weight)
        directions: Tensor = q * r.diagonal().sign()
        return directions  # QR leaves signs open: so the directions are those of the weight where it is orthonormal

    @override
    def encode(self, features: Tensor) -> Tensor:
        return features @ self.directions

    @override
    def decode(self, change: Tensor) -> Tensor:
        return change @ self.directions.T


class Columns(Coordinates):
    """Some of the directions that several interventions share."""

    def __init__(self, shared: Rotation, first: int, end: int) -> None:
        super().__init__(shared.width)
        self.shared, self.first, self.end = shared, first, end

    @override
    def encode(self, features: Tensor) -> Tensor:
        return self.shared.encode(features)[..., self.first : self.end]

    @override
    def decode(self, change: Tensor) -> Tensor:
        left, right = self.first, self.shared.rank - self.end
        return self.shared.decode(nn.functional.pad(change, (left, right)))


class LearnedBoundary(Rotation):
    """A rotation of all features of which the first few directions count."""

    def __init__(self, width: int, sparsity: float, seed: int) -> None:
        super().__init__(width, width, seed)
        self.sparsity = sparsity
        self.boundary = nn.Parameter(torch.tensor(0.5))

    @property
    def count(self) -> int:
        """How many directions count outside of training."""
        return int((self._inside() > 0).sum())

    @override
    def decode(self, change: Tensor) -> Tensor:
        inside = self._inside()
        share = torch.sigmoid(inside / self.temperature) if self.training else (inside > 0).to(change.dtype)
        return super().decode(change * share)

    @override
    def penalty(self) -> Tensor | None:
        return self.sparsity * self.boundary.clamp(0, 1)

    @override
    def says(self) -> str:
        return f"{self.count} of {self.width} directions count"

    def _inside(self) -> Tensor:
        """Return how far within the boundary each direction lies, dims (coordinate)."""
        places = torch.arange(self.width, device=self.boundary.device) + 0.5
        return self.boundary.clamp(1e-3, 1) * self.width - places


class LearnedMask(Coordinates):
    """A share of each feature, or of each direction of a learned rotation."""

    def __init__(self, width: int, rotated: bool, sparsity: float, seed: int) -> None:
        super().__init__(width)
        self.sparsity = sparsity
        self.rotation = Rotation(width, width, seed) if rotated else None
        self.weight = nn.Parameter(torch.zeros(width))

    @property
    def share(self) -> Tensor:
        """The share of each coordinate, dims (coordinate)."""
        return torch.sigmoid(self.weight / self.temperature)

    @override
    def encode(self, features: Tensor) -> Tensor:
        return features if self.rotation is None else self.rotation.encode(features)

    @override
    def decode(self, change: Tensor) -> Tensor:
        change = change * self.share
        return change if self.rotation is None else self.rotation.decode(change)

    @override
    def penalty(self) -> Tensor | None:
        return self.sparsity * self.share.mean()

    @override
    def says(self) -> str:
        return f"a mask of {self.share.mean().item():.2f} on average"
