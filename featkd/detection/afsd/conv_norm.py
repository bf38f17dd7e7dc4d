"""The unit all parts of the detector are built of."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.models.padding import same_padding
from featkd.representation import build_group_norm


class ConvNorm(nn.Module):
    """Conv1d with SAME padding, group norm and ReLU: (B, C, T) to (B, C', ceil(T / stride))."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        """Build the layers.

        Raises:
            ModelError: no group norm fits the channels.
        """
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel, stride)
        self.norm = build_group_norm(out_channels)

    def forward(
        self, x: Float[Tensor, "batch in_channels time"]
    ) -> Float[Tensor, "batch out_channels out_time"]:
        """Convolve, normalise, rectify."""
        padded = F.pad(x, same_padding(x.shape[2], self.kernel, self.stride))
        return F.relu(self.norm(self.convolution(padded)))
