"""A classifier as one ONNX graph: from a photo of any size to probabilities, with everything between them inside."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import onnx
import onnx.compose
import onnx.parser
import torch
from torch import nn

from regraft._version import __version__
from regraft.data.decoding.rendering import PLAIN
from regraft.data.preprocessing import Preprocessing
from regraft.disk.atomic import readable_json
from regraft.errors import ConfigError
from regraft.export.pixels_graph import OPSET, PHOTOS, PIXELS, pixels_graph
from regraft.features.engines.folding import folded
from regraft.inference.shared_network import SharedNetwork, shared_networks
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble

Input: TypeAlias = Literal["photo", "photos", "tensor"]
"""Input of an exported graph: one photo, several of one size, or pixels that were resized and normalized elsewhere."""

Change: TypeAlias = Callable[[onnx.ModelProto, Preprocessing], onnx.ModelProto]
"""Maps the graph of a network with its heads, and the preprocessing of its photos, to a graph in its place."""

TOP = 5
"""Number of classes in the output ``top``."""

_LOGITS = "logits"


@dataclass(frozen=True)
class GraphOptions:
    """The form of an exported graph.

    Attributes:
        input: its input.
        views: number of views of a photo to average: 1, or 2 for the photo and its mirror image.
        unsure_below: the graph calls a photo unsure whose highest probability is below this.
    """

    input: Input = "photo"
    views: int = 1
    unsure_below: float = 0.0


def classifier_graph(
    classifier: Classifier | Ensemble, options: GraphOptions, change: Change | None = None
) -> onnx.ModelProto:
    """Return the graph of a classifier, of standard operators only.

    Its input ``photo`` is (H, W, 3), uint8, RGB, of any size; as ``photos``, (n, H, W, 3); as ``tensor``, (n, 3, h, w),
    float32, normalized. Its outputs are ``probabilities`` (C,), float32; ``label`` and ``top``, int64, the most
    probable class and the five most probable ones, as positions in the list of classes; and ``unsure``, bool. With
    several photos, each output has an axis for them in front.

    Args:
        classifier: in inference mode.
        options: the form of the graph.
        change: replaces the graph of each network.

    Raises:
        ConfigError: the classifier resizes photos to the nearest pixel, or needs photos of several sizes where the
            input is a tensor.
    """
    members = classifier.members if isinstance(classifier, Ensemble) else (classifier,)
    networks = shared_networks(members)
    sizes = list(dict.fromkeys(_of_pixels(network.backbone.spec.preprocessing) for network in networks))
    if options.input == "tensor" and len(sizes) > 1:
        raise ConfigError("input tensor: this model prepares each photo in several ways; expected input photo")
    graph = _Pieces(options, change)
    for number, size in enumerate(sizes):
        graph.add_pixels(number, size)
    for number, network in enumerate(networks):
        size = _of_pixels(network.backbone.spec.preprocessing)
        graph.add_network(number, sizes.index(size), network, [members[member] for member in network.members])
    return graph.finished(classifier)


def _of_pixels(p: Preprocessing) -> Preprocessing:
    """Return a preprocessing without the choices about the decoding of a file, which is not part of the graph."""
    return replace(p, white_level=PLAIN.white_level, ground=PLAIN.ground)


class _Pieces:
    """Parts of a graph, joined one after the other."""

    def __init__(self, options: GraphOptions, change: Change | None = None) -> None:
        self.options, self.change = options, change
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.logits: dict[int, str] = {}
        self.size: Preprocessing | None = None
        if options.input == "photo":
            self._parse("one = Constant <value = int64[1] {0}> () photos = Unsqueeze (photo, one)")

    def add_pixels(self, number: int, size: Preprocessing) -> None:
        """Add the pixels of all views for networks that prepare photos in the same way."""
        self.size = size
        if self.options.input == "tensor":
            self._parse("normalized_0 = Identity (tensor)")
            return
        self._join(pixels_graph(size), f"pixels_{number}/", {PHOTOS: PHOTOS}, {PIXELS: f"plain_{number}"})
        mean, scale = [255 * v for v in size.mean], [1 / (255 * v) for v in size.std]
        views = f"views_{number}"
        if self.options.views == 2:
            self._parse(f"""
                last_{number} = Constant <value = int64[1] {{-1}}> ()
                before_first_{number} = Constant <value = int64[1] {{-9223372036854775807}}> ()
                across_{number} = Constant <value = int64[1] {{3}}> ()
                mirrored_{number} = Slice (
                    plain_{number}, last_{number}, before_first_{number}, across_{number}, last_{number}
                )
                {views} = Concat <axis: int = 0> (plain_{number}, mirrored_{number})""")
        else:
            self._parse(f"{views} = Identity (plain_{number})")
        self._parse(f"""
            mean_{number} = Constant <value = float[1, 3, 1, 1] {{{", ".join(map(str, mean))}}}> ()
            scale_{number} = Constant <value = float[1, 3, 1, 1] {{{", ".join(map(str, scale))}}}> ()
            centered_{number} = Sub ({views}, mean_{number})
            normalized_{number} = Mul (centered_{number}, scale_{number})""")

    def add_network(self, number: int, size: int, network: SharedNetwork, heads: Sequence[Classifier]) -> None:
        """Add a network and the heads on its features."""
        model = exported_network(network, heads)
        if self.change is not None:
            model = self.change(model, network.backbone.spec.preprocessing)
        names = [f"{_LOGITS}_of_{member}" for member in network.members]
        outputs = {output.name: name for output, name in zip(model.graph.output, names, strict=True)}
        self._join(model, f"network_{number}/", {"x": f"normalized_{size}"}, outputs)
        self.logits |= dict(zip(network.members, names, strict=True))

    def finished(self, classifier: Classifier | Ensemble) -> onnx.ModelProto:
        """Return the whole graph, with probabilities from the logits of all members."""
        count = len(classifier.classes)
        sizes = [len(group) for group in classifier.groups] if isinstance(classifier, Ensemble) else [1]
        weights = classifier.weights if isinstance(classifier, Ensemble) else (1.0,)
        self._parse("".join(_group_text(sizes, weights, self.logits)))
        self._parse(_outputs_text(self.options, count))
        outputs = _outputs(self.options, count)
        nodes, initializers = _needed(self.nodes, self.initializers, {output.name for output in outputs})
        graph = onnx.helper.make_graph(nodes, "classifier", [self._input()], outputs, initializers)
        model = onnx.helper.make_model(
            graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="regraft"
        )
        model.producer_version = __version__
        onnx.checker.check_model(model, full_check=False)
        return model

    def _input(self) -> onnx.ValueInfoProto:
        if self.options.input == "tensor":
            assert self.size is not None
            shape: list[str | int] = ["n", 3, self.size.height, self.size.width]
            return onnx.helper.make_tensor_value_info("tensor", onnx.TensorProto.FLOAT, shape)
        shape = ["height", "width", 3]
        if self.options.input == "photos":
            shape = ["n", *shape]
        return onnx.helper.make_tensor_value_info(self.options.input, onnx.TensorProto.UINT8, shape)

    def _parse(self, body: str) -> None:
        self.nodes += onnx.parser.parse_graph(f"part () => () {{ {body} }}").node

    def _join(self, model: onnx.ModelProto, prefix: str, inputs: dict[str, str], outputs: dict[str, str]) -> None:
        """Add the nodes of another graph, its names with a prefix, its inputs and outputs under given names."""
        graph = onnx.compose.add_prefix(model, prefix).graph
        for name, source in inputs.items():
            self.nodes.append(onnx.helper.make_node("Identity", [source], [f"{prefix}{name}"]))
        self.nodes += graph.node
        self.initializers += graph.initializer
        for name, target in outputs.items():
            self.nodes.append(onnx.helper.make_node("Identity", [f"{prefix}{name}"], [target]))


def _needed(
    nodes: Sequence[onnx.NodeProto], initializers: Sequence[onnx.TensorProto], outputs: Collection[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes and initializers that ``outputs`` depend on, in order."""
    needed, kept = set(outputs), list[onnx.NodeProto]()
    for node in reversed(nodes):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for attribute in node.attribute:
            needed.update(name for inner in attribute.g.node for name in inner.input)
    return kept[::-1], [tensor for tensor in initializers if tensor.name in needed]


def _group_text(sizes: Sequence[int], weights: Sequence[float], logits: dict[int, str]) -> Iterator[str]:
    """Yield the text of the weighted mean of the probabilities of groups, whose logits are added."""
    members = (logits[member] for member in range(len(logits)))
    for group, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        total = ", ".join(next(members) for _ in range(size))
        yield f"""
            total_{group} = Sum ({total})
            share_{group} = Softmax <axis: int = 1> (total_{group})
            weight_{group} = Constant <value = float {{{weight}}}> ()
            weighted_{group} = Mul (share_{group}, weight_{group})"""
    yield f"by_view = Sum ({', '.join(f'weighted_{group}' for group in range(len(sizes)))})"


def _outputs_text(options: GraphOptions, classes: int) -> str:
    """Return the text from the probabilities of each view to the outputs."""
    views = options.views if options.input != "tensor" else 1
    suffix = "_of_all" if options.input == "photo" else ""
    text = f"""
        view_shape = Constant <value = int64[3] {{{views}, -1, {classes}}}> ()
        each_view = Reshape (by_view, view_shape)
        probabilities{suffix} = ReduceMean <axes: ints = [0], keepdims: int = 0> (each_view)
        label{suffix} = ArgMax <axis: int = 1, keepdims: int = 0> (probabilities{suffix})
        count = Constant <value = int64[1] {{{min(TOP, classes)}}}> ()
        top_values, top{suffix} = TopK <axis: int = 1> (probabilities{suffix}, count)
        highest = ReduceMax <axes: ints = [1], keepdims: int = 0> (probabilities{suffix})
        threshold = Constant <value = float {{{options.unsure_below}}}> ()
        unsure{suffix} = Less (highest, threshold)"""
    if options.input == "photo":
        text += "first_axis = Constant <value = int64[1] {0}> ()" + "".join(
            f" {name} = Squeeze ({name}_of_all, first_axis)" for name in ("probabilities", "label", "top", "unsure")
        )
    return text


def _outputs(options: GraphOptions, classes: int) -> list[onnx.ValueInfoProto]:
    several: list[str | int] = [] if options.input == "photo" else ["n"]
    kinds = {
        "probabilities": (onnx.TensorProto.FLOAT, [classes]),
        "label": (onnx.TensorProto.INT64, []),
        "unsure": (onnx.TensorProto.BOOL, []),
        "top": (onnx.TensorProto.INT64, [min(TOP, classes)]),
    }
    return [onnx.helper.make_tensor_value_info(name, kind, [*several, *shape]) for name, (kind, shape) in kinds.items()]


class _NetworkWithHeads(nn.Module):
    """A network and the heads on parts of its features."""

    def __init__(self, network: nn.Module, heads: Sequence[nn.Linear], starts: Sequence[int]) -> None:
        super().__init__()
        self.network, self.heads = network, nn.ModuleList(heads)
        self.columns = [slice(start, start + head.in_features) for start, head in zip(starts, heads, strict=True)]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the logits of each head: (n, 3, h, w) -> (n, C) each."""
        features = self.network(x).float()
        return tuple(head(features[:, columns]) for head, columns in zip(self.heads, self.columns, strict=True))


def exported_network(network: SharedNetwork, heads: Sequence[Classifier]) -> onnx.ModelProto:
    """Return the graph of a network with heads, from ``x``, normalized pixels, to the logits of each head.

    Raises:
        ConfigError: the network cannot be exported.
    """
    p = network.backbone.spec.preprocessing
    module = _NetworkWithHeads(
        folded(network.backbone.network, p.height, p.width), [one.head for one in heads], network.starts
    ).eval()
    out = io.BytesIO()
    names = [f"{_LOGITS}_{number}" for number in range(len(heads))]
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # this exporter is deprecated, but needs no further package
            torch.onnx.export(
                module,
                (torch.zeros(2, 3, p.height, p.width),),
                out,  # type: ignore[arg-type]  # the older exporter takes a buffer
                dynamo=False,
                opset_version=OPSET,
                input_names=["x"],
                output_names=names,
                dynamic_axes={"x": {0: "n"}, **{name: {0: "n"} for name in names}},
            )
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{network.backbone.spec.name} cannot be exported to ONNX: {reason}") from error
    return onnx.load_model_from_string(out.getvalue())


def add_metadata(model: onnx.ModelProto, facts: dict[str, str], classes: Sequence[str]) -> None:
    """Add text by key, and the class names as a JSON list, to the metadata of ``model``."""
    onnx.helper.set_model_props(model, {**facts, "classes": readable_json(list(classes))})
