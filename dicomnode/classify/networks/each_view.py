"""One network that looks at each of several views alone; the answer is the mean of its logits."""

import torch

__all__ = ["EachView"]


class EachView(torch.nn.Module):
    """Takes (samples, views * channels, height, width), gives (samples, numbers)."""

    def __init__(self, backbone: torch.nn.Module, views: int) -> None:
        super().__init__()
        self.backbone = backbone
        self._views = views

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """The mean over the views of what the backbone says of each."""
        count, planes, height, width = samples.shape
        alone = samples.reshape(count * self._views, planes // self._views, height, width)
        said: torch.Tensor = self.backbone(alone)
        return said.reshape(count, self._views, -1).mean(1)
