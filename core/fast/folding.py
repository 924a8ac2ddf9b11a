"""A network in eval mode whose BatchNorm layers are folded into the kernels of the convolutions before them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from core.fast.batch_norm import BATCH_NORMS
from core.fast.chain import Chain, chains
from core.fast.opaque import Opaque


class UnfoldableError(ValueError):
    """The forward of a network can't be followed layer by layer."""


class Fold(NamedTuple):
    """A convolution, the BatchNorm layer after it, and the convolution that replaces both."""

    convolution: Any
    norm: Any
    folded: Any


class _Source:
    """A tensor of a layer, and its address in memory when the network was folded."""

    def __init__(self, layer: nn.Module, name: str) -> None:
        self.layer, self.name = layer, name
        self.address = getattr(layer, name).data_ptr()

    def check(self) -> None:
        if getattr(self.layer, self.name).data_ptr() != self.address:
            raise RuntimeError(f"{self.name} of {self.layer} was replaced: tensors of a folded model change in place")


class FoldedNetwork(nn.Module):
    """A network that computes the same function of the images as a model in eval mode, up to rounding.

    ``gamma * (conv(x) - mean) / sqrt(var + eps) + beta`` is one convolution, its kernel ``gamma / sqrt(var + eps)``
    times the old one. The network has no parameters and no layer that depends on the training flag: an attack on it
    computes no weight gradients and cannot change the model. `refresh` takes over what the model has learnt.

    Args:
        model: of torch's own layers. Its tensors may change, but not be replaced by others.
        dtype: of weights and activations, if not the model's own. The first and the last layer with weights keep the
            model's, because images and logits differ by less than bfloat16 resolves. BatchNorm layers that
            are not folded also keep their weights and statistics, as under autocast.

    Raises:
        UnfoldableError: the model's forward branches on values, or uses tensors that belong to no layer.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        graph = _eval_graph(model)
        modules = dict(model.named_modules())
        called = [node for node in graph.nodes if node.op == "call_module"]
        names = [node.target for node in called]
        norms = [node for node in called if _follows_convolution(node, modules, names)]
        learnt = [node for node in called if _tensors(modules[node.target]) and node not in norms]
        inner = {n.target for n in learnt[1:-1] if not isinstance(modules[n.target], BATCH_NORMS)} if dtype else set()
        self._sources = [_Source(modules[name], tensor) for name in names for tensor in _tensors(modules[name])]
        self._copies: list[tuple[Tensor, Tensor]] = []
        layers = {name: self._twin(modules[name], dtype if name in inner else None) for name in names}
        self._folds = [Fold(modules[n.args[0].target], modules[n.target], layers[n.args[0].target]) for n in norms]
        for _, norm, folded in self._folds:
            folded._buffers["weight"] = torch.empty_like(folded.weight)
            folded._buffers["bias"] = torch.empty_like(norm.running_mean, dtype=folded.weight.dtype)
        for norm_node in norms:
            norm_node.replace_all_uses_with(norm_node.args[0])
            graph.erase_node(norm_node)
        if inner:
            _cast(graph, learnt[0], dtype)
            _cast(graph, learnt[-1].args[0], next(model.parameters()).dtype, only_for=learnt[-1])
        self.network = fx.GraphModule(layers, graph).eval()
        self._layers = _in_a_row(graph, layers)
        self._chains: dict[tuple[torch.Size, torch.device], Chain | None] = {}
        self.refresh()

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
        """The folded network, or the model itself if it is `Opaque` or can't be folded."""
        if isinstance(model, Opaque):
            return model
        try:
            return cls(model, dtype)
        except UnfoldableError:
            return model

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, C, H, W]`` to logits ``[n, classes]``."""
        chain = None if torch.is_grad_enabled() or torch.compiler.is_compiling() else self._chain(x)
        return chain.forward(x) if chain else self.network(x)

    def image_gradient(self, x: Tensor, ascent: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Logits, and the gradient of the attack's objective with respect to ``x``.

        Args:
            x: images ``[n, C, H, W]``.
            ascent: returns the objective's gradient with respect to the logits, ``[n, classes]``.
        """
        if chain := self._chain(x):
            return chain.image_gradient(x, ascent)
        return by_autograd(self.network, x, ascent)

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the model's weights and BatchNorm statistics as they are now.

        Raises:
            RuntimeError: a tensor of the model was replaced by another since the network was folded.
        """
        for source in self._sources:
            source.check()
        self._fold()
        for chain in self._chains.values():
            if chain:
                chain.refresh()

    def _chain(self, x: Tensor) -> Chain | None:
        key = (x.shape[1:], x.device)
        if key not in self._chains:
            pays = chains(self._layers, x)
            self._chains[key] = Chain(self._layers, tuple(x.shape[1:])) if pays else None  # type: ignore[arg-type]
        return self._chains[key]

    def _fold(self) -> None:
        if self._copies:
            torch._foreach_copy_([held for _, held in self._copies], [source for source, _ in self._copies])
        if not self._folds:
            return
        norms = [norm for _, norm, _ in self._folds]
        deviations = torch._foreach_add([norm.running_var for norm in norms], [norm.eps for norm in norms])
        torch._foreach_sqrt_(deviations)
        scales = torch._foreach_div([norm.weight for norm in norms], deviations)
        kernels = torch._foreach_mul([c.weight for c, _, _ in self._folds], [s.view(-1, 1, 1, 1) for s in scales])
        means = [n.running_mean if c.bias is None else n.running_mean - c.bias for c, n, _ in self._folds]
        biases = torch._foreach_sub([norm.bias for norm in norms], torch._foreach_mul(means, scales))
        targets = [folded.weight for _, _, folded in self._folds] + [folded.bias for _, _, folded in self._folds]
        torch._foreach_copy_(targets, [*kernels, *biases])

    def _twin(self, module: nn.Module, dtype: torch.dtype | None) -> nn.Module:
        """The layer in eval mode, its weights as buffers: the model's own tensors, or copies in ``dtype``."""
        twin = copy.copy(module)
        twin.training = False
        twin._parameters, twin._buffers = {}, dict.fromkeys(module._parameters)
        for name, tensor in _tensors(module).items():
            held = tensor.detach()
            if dtype is not None and tensor.is_floating_point():
                held = held.to(dtype)
                self._copies.append((tensor, held))
            twin._buffers[name] = held
        return twin


def by_autograd(network: nn.Module, x: Tensor, ascent: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """`FoldedNetwork.image_gradient` for any network, by autograd; weight gradients are not computed."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = network(leaf)
    (gradient,) = torch.autograd.grad(logits, leaf, ascent(logits.detach()))
    return logits.detach(), gradient


def _in_a_row(graph: fx.Graph, layers: dict[str, nn.Module]) -> list[nn.Module]:
    """The layers in the order of their calls if each one's only input is the output before it; otherwise no layers."""
    nodes = [node for node in graph.nodes if node.op != "output"]
    for before, node in itertools.pairwise(nodes):
        cast = node.op == "call_method" and node.target == "to"
        if not (cast or node.op == "call_module") or node.args[0] is not before or len(before.users) != 1:
            return []
    return [layers[node.target] for node in nodes if node.op == "call_module"]


class _LayerTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(m.children())


def _eval_graph(model: nn.Module) -> fx.Graph:
    """The layers that the model calls in eval mode. Its mode is the same before and after."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        graph = _LayerTracer().trace(model)
    except Exception as error:  # a user's forward gets symbols instead of tensors and may raise any error
        raise UnfoldableError(str(error)) from error
    finally:
        for module in training:
            module.training = True
    if own := [node.target for node in graph.nodes if node.op == "get_attr"]:
        raise UnfoldableError(f"{own[0]} belongs to no layer")
    return graph


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    held = {**module._parameters, **module._buffers}
    return {name: tensor for name, tensor in held.items() if tensor is not None}


def _cast(graph: fx.Graph, node: fx.Node, dtype: torch.dtype | None, only_for: fx.Node | None = None) -> None:
    """Convert a node's output to ``dtype`` for all nodes that use it, or only for ``only_for``."""
    with graph.inserting_after(node):
        cast = graph.call_method("to", (node, dtype))
    node.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast and only_for in (None, user))


def _follows_convolution(node: fx.Node, modules: dict[str, nn.Module], called: list[object]) -> bool:
    """True for a foldable BatchNorm layer: the only user of a convolution's output, each of the two called once.

    Classes derived from torch's are not folded, because they may compute something else.
    """
    norm, before = modules[str(node.target)], node.args[0]
    return (
        isinstance(norm, BATCH_NORMS)
        and type(norm) in BATCH_NORMS
        and norm.affine
        and norm.track_running_stats
        and isinstance(before, fx.Node)
        and before.op == "call_module"
        and type(modules[str(before.target)]) is nn.Conv2d
        and len(before.users) == 1
        and called.count(before.target) == called.count(node.target) == 1
    )
