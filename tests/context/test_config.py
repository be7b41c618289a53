"""Options: how they are written, and that all mistakes are named at once."""

import pytest

from regraft.context.config import TrainConfig, resolve
from regraft.context.option_readers import seconds, share_of_mistakes
from regraft.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("90", 90), (45, 45), ("5 min", 300)],
)
def test_durations(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "", "10x", "-3m", "0s", "m10", "1h foo", "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected a duration"):
        seconds(text)


def test_all_mistakes_are_named_at_once_with_the_nearest_names(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("recipee: auto\nrecipe: fine-tuen\nlr: -1\nsplit: 1/2/3\nbudget: soon\n")
    with pytest.raises(ConfigError) as caught:
        resolve(file, photos="x")
    text = str(caught.value)
    assert text.startswith(f"{file}: 5 problems")
    for part in (
        "'recipee'; did you mean 'recipe'",
        "did you mean 'fine-tune'",
        "lr:",
        "split: expected",
        "budget: exp",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("content", "match"),
    [("- a\n", "expected keys and values"), ("a: [\n", "not valid YAML"), ("photos: \x00", "not valid YAML")],
)
def test_what_is_no_configuration_is_refused(tmp_path, content, match):
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=match):
        resolve(file, photos="x")
    with pytest.raises(ConfigError, match="no such configuration"):
        resolve(tmp_path / "none.yaml", photos="x")


def test_an_option_wins_over_the_file_and_a_resolved_configuration_can_be_given_again(tmp_path):
    import json

    first = resolve(None, photos="x", epochs=3, split="70/20/10", unfreeze="blocks.5,blocks.6", budget="2m")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"format": 1, **first.as_dict()}))
    assert resolve(file).as_dict() == first.as_dict()
    assert resolve(file, epochs=5).epochs == 5
    assert first.unfreeze == ("blocks.5", "blocks.6")


@pytest.mark.parametrize("value", ["all", "2", 2, ["a", "b"], None])
def test_what_can_be_unfrozen(value):
    assert TrainConfig(photos="x", unfreeze=value).unfreeze in ("all", 2, ("a", "b"), None)


@pytest.mark.parametrize("value", [1.5, "", ["a", 3], -1, True])
def test_what_cannot_be_unfrozen(value):
    with pytest.raises(ConfigError, match="expected all, a number of blocks"):
        resolve(None, photos="x", unfreeze=value)


@pytest.mark.parametrize(
    ("text", "share"), [("2%", 0.02), ("0.02", 0.02), (0.1, 0.1), (" 12.5 % ", 0.125), (None, None)]
)
def test_a_share_of_mistakes(text, share):
    assert share_of_mistakes(text) == share


@pytest.mark.parametrize("text", ["60%", "0", "-1%", "two", "nan", 1])
def test_what_is_no_share_of_mistakes(text):
    with pytest.raises(ConfigError, match=r"above 0 and below 50 %, such as 2% or 0\.02, found"):
        resolve(None, photos="photos", max_error=text)
