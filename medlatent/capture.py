"""An update as a CUDA graph: recorded once, then replayed without the CPU launching each operation anew."""

from __future__ import annotations

import torch
from torch import Tensor

from .models import LatentModel

WARM_UP = 3  # updates that run as they are, while libraries choose their algorithms


class Captured:
    """``model.update`` on a CUDA device, from the fourth call on as the replay of a graph.

    A small network keeps a GPU waiting: a launch of each of some hundred operations takes longer than the operations.
    A replay launches them all at once. It does the same as the recorded call with other images, columns and random
    numbers, so it fits an update whose operations are the same each time: a model says so by its ``capturable``. Where
    recording fails, since the update waits for a value, say, every call runs as it is.

    Args:
        model: on a CUDA device, in training mode.
    """

    def __init__(self, model: LatentModel) -> None:
        self.model, self.calls = model, 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()
        for optimiser in model.optimisers().values():
            for group in optimiser.param_groups:
                group["capturable"] = True  # counts its steps on the device

    def __call__(self, images: Tensor, **columns: Tensor) -> dict[str, Tensor]:
        """As ``model.update``; a replay's terms are overwritten by the next one."""
        self.calls += 1
        if self.calls <= WARM_UP:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                terms = self.model.update(images, **columns)
            torch.cuda.current_stream().wait_stream(self.stream)
            return terms
        if self.calls == WARM_UP + 1:
            self._record(images, columns)
        if self.graph is None:
            return self.model.update(images, **columns)
        self.images.copy_(images)
        for name, column in columns.items():
            self.columns[name].copy_(column)
        self.graph.replay()
        return self.terms

    def _record(self, images: Tensor, columns: dict[str, Tensor]) -> None:
        """Records without running: the weights are as before."""
        self.images = images.clone(memory_format=torch.preserve_format)
        self.columns = {name: column.clone() for name, column in columns.items()}
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.terms = self.model.update(self.images, **self.columns)
        except RuntimeError:
            torch.cuda.synchronize()
            for optimiser in self.model.optimisers().values():
                optimiser.zero_grad(set_to_none=True)  # gradients of a recording hold no numbers
        else:
            self.graph = graph
