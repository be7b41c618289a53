"""Tensors by name: the differences between two state dicts, and tensors in the layout that a file describes."""

from __future__ import annotations

import pytest
import torch

from regraft.disk.torch_file import read_torch_file
from regraft.tensors import state_dict_mismatches, strided_tensor, tensors_checksum


def named(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_equal_state_dicts_have_no_mismatches():
    assert state_dict_mismatches(named(a=(2,), b=()), named(b=(), a=(2,))) == []


def test_shapes_come_before_missing_and_unexpected_tensors():
    assert state_dict_mismatches(named(a=(2,), b=(3, 1), c=()), named(d=(1,), b=(3,), c=())) == [
        "b: expected shape (3, 1), found (3,)",
        "a: missing, expected shape (2,)",
        "d: unexpected, shape (1,)",
    ]


def test_optional_tensors_may_be_missing_or_additional_but_not_of_another_shape():
    def optional(name: str) -> bool:
        return name.startswith("count")

    assert state_dict_mismatches(named(count=()), named(counter=()), optional=optional) == []
    assert state_dict_mismatches(named(count=()), named(count=(1,)), optional=optional) == [
        "count: expected shape (), found (1,)"
    ]


def test_each_kind_is_bounded():
    lines = state_dict_mismatches(named(**{f"a{i}": () for i in range(14)}), named(**{f"b{i}": () for i in range(12)}))
    assert len(lines) == 13 + 12
    assert lines[12] == "… and 2 more of this kind" and lines[-1] == "b11: unexpected, shape ()"


LAYOUTS = {
    "plain": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "channels last": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "part": torch.arange(10)[3:7],
    "scalar": torch.tensor(1.5, dtype=torch.bfloat16),
    "empty": torch.empty(0, 3),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_tensor_of_a_file_has_its_values_and_its_layout(tmp_path, name):
    path, expected = tmp_path / "w.pt", LAYOUTS[name]
    torch.save({"w": expected}, path)
    found = strided_tensor(read_torch_file(path)["w"])
    assert found.dtype == expected.dtype and found.stride() == expected.stride()
    assert torch.equal(found, expected)


def test_the_checksum_depends_on_names_shapes_dtypes_and_values_but_not_on_layout():
    value = LAYOUTS["plain"]
    checksum = tensors_checksum({"a": value, "b": value})
    assert tensors_checksum({"b": value.t().contiguous().t(), "a": value}) == checksum
    others = [value + 1, value.double(), value.reshape(3, 2)]
    assert (
        len({checksum, tensors_checksum({"a": value}), *(tensors_checksum({"a": value, "b": x}) for x in others)}) == 5
    )
