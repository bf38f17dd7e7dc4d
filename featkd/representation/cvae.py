"""The conditional variational autoencoder of features given attention."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.representation.collapse import SpatialCollapse
from featkd.representation.group_norm import build_group_norm


class Posterior(NamedTuple):
    """q(z | F, A): a normal distribution with independent components.

    Attributes:
        mean: (B, T, C).
        log_var: Logarithm of the variance, (B, T, C).
    """

    mean: Float[Tensor, "batch time channels"]
    log_var: Float[Tensor, "batch time channels"]


class Reconstruction(NamedTuple):
    """Features that went through the encoder and back.

    Attributes:
        features: The reconstruction (B, C, T, H, W).
        posterior: Where the latent was drawn from.
    """

    features: Float[Tensor, "batch channels time height width"]
    posterior: Posterior


class CVAE(nn.Module):
    """Models features F (B, C, T, H, W) given attention A (B, C, T); one latent per time step.

    Generative-based KD (AAAI 2024), Eq. 1-4, with the layers of the published code. The prior is
    N(A, I). Noise is always an argument, so that student and teacher can share a draw and a test
    can fix it.
    """

    def __init__(
        self,
        channels: int,
        spatial_size: tuple[int, int],
        hidden: int | None = None,
        groups: int | None = None,
    ) -> None:
        """Build the encoder and the decoder.

        Args:
            channels: C of features, attention and latent.
            spatial_size: (H, W) of the features.
            hidden: Width between the layers; None means C, as published. The convolutions hold
                most of the parameters, 2 * C * hidden * H * W.
            groups: Groups of both normalisations; None chooses by `build_group_norm`.

        Raises:
            ModelError: ``groups`` does not divide the channels.
        """
        super().__init__()
        hidden = hidden or channels
        self.channels = channels
        self.spatial_size = spatial_size
        self.collapse = SpatialCollapse(channels, hidden, spatial_size, groups)
        self.encoder = _build_mlp(hidden + channels, hidden, 2 * channels)
        self.decoder = _build_mlp(2 * channels, hidden, hidden)
        self.expand = nn.Sequential(
            nn.ConvTranspose3d(hidden, channels, kernel_size=(1, *spatial_size)),
            build_group_norm(channels, groups),
            nn.ReLU(),
        )

    @staticmethod
    def sample_noise(
        attention: Float[Tensor, "batch channels time"], generator: torch.Generator
    ) -> Float[Tensor, "batch time channels"]:
        """Draw the standard normal noise of one pass.

        It is drawn on the generator's device and moved, so that one seed gives the same noise
        wherever the model runs.
        """
        batch, channels, time = attention.shape
        noise = torch.randn(
            (batch, time, channels),
            generator=generator,
            device=generator.device,
            dtype=attention.dtype,
        )
        return noise.to(attention.device)

    def encode(
        self,
        features: Float[Tensor, "batch channels time height width"],
        attention: Float[Tensor, "batch channels time"],
    ) -> Posterior:
        """Compute the posterior of the latent.

        Raises:
            ModelError: The features are not of the ``spatial_size`` the CVAE was built for.
        """
        collapsed = self.collapse(features)
        steps = torch.cat([collapsed, attention], dim=1).transpose(1, 2)
        mean, log_var = self.encoder(steps).chunk(2, dim=-1)
        return Posterior(mean, log_var)

    def decode(
        self,
        latent: Float[Tensor, "batch time channels"],
        attention: Float[Tensor, "batch channels time"],
    ) -> Float[Tensor, "batch channels time height width"]:
        """Compute features from a latent and the attention."""
        steps = self.decoder(torch.cat([latent, attention.transpose(1, 2)], dim=-1))
        features: Tensor = self.expand(steps.transpose(1, 2)[..., None, None])
        return features

    def reconstruct(
        self,
        features: Float[Tensor, "batch channels time height width"],
        attention: Float[Tensor, "batch channels time"],
        noise: Float[Tensor, "batch time channels"],
    ) -> Reconstruction:
        """Encode, draw ``z = mean + noise * exp(log_var / 2)``, decode."""
        posterior = self.encode(features, attention)
        latent = posterior.mean + noise * torch.exp(posterior.log_var / 2)
        return Reconstruction(self.decode(latent, attention), posterior)

    def generate(
        self,
        attention: Float[Tensor, "batch channels time"],
        noise: Float[Tensor, "batch time channels"],
    ) -> Float[Tensor, "batch channels time height width"]:
        """Decode a draw from the prior, ``z = A + noise``."""
        return self.decode(attention.transpose(1, 2) + noise, attention)


def _build_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )
