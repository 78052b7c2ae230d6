"""Bottleneck adapters around the linear layers of a transformers model, from their formulas alone: the PEFT fork that trained them is no package."""

import torch

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}


class Adapted(torch.nn.Module):
    """place: before, y = W(x + a(x)); after, y = W(x) + a(W(x)); beside, y = W(x) + a(x), with a(x) = scaling * up(act(down(x)))."""

    def __init__(self, layer, place, size, activation, scaling):
        super().__init__()
        width = (layer.out_features if place == "after" else layer.in_features, layer.in_features if place == "before" else layer.out_features)
        self.layer, self.place, self.activation = layer, place, ACTIVATIONS[activation]
        self.adapter_down = torch.nn.Linear(width[0], size, bias=False)
        self.adapter_up = torch.nn.Linear(size, width[1], bias=False)
        self.scaling = scaling
        if scaling == "learned":
            self.adapter_scaling = torch.nn.Parameter(torch.ones(1))

    def adapter(self, x):
        factor = self.adapter_scaling if self.scaling == "learned" else self.scaling
        return factor * self.adapter_up(self.activation(self.adapter_down(x)))

    def forward(self, x):
        if self.place == "before":
            return self.layer(x + self.adapter(x))
        y = self.layer(x)
        return y + self.adapter(y if self.place == "after" else x)


def adapt(model, places, size, activation="tanh", scaling=1.0):
    """Freezes a model and puts an adapter to each layer whose name ends with a key of `places`; the adapters' parameters by their names in files."""
    for p in model.parameters():
        p.requires_grad_(False)
    parameters = {}
    for name, layer in list(model.named_modules()):
        place = places.get(name.rsplit(".", 1)[-1])
        if place is None or not isinstance(layer, torch.nn.Linear):
            continue
        parent, child = name.rsplit(".", 1)
        adapted = Adapted(layer, place, size, activation, scaling)
        setattr(model.get_submodule(parent), child, adapted)
        for own, p in adapted.named_parameters():
            if own.startswith("adapter_"):
                parameters[f"base_model.model.{name}.{own}"] = p
    return parameters
