"""`regraft backbones`: the column of measured gains."""

from __future__ import annotations

import json

from regraft.advice.networks import measured_networks


def test_measured_networks_have_their_gain_over_the_default_and_others_have_none(regraft):
    said = regraft("backbones", "tf_efficientnet_lite*", "--json")
    assert said.code == 0, said.err
    rows = {row["name"]: row["measured"] for row in json.loads(said.out)["backbones"]}
    measured = rows["tf_efficientnet_lite2"]
    assert measured["folders"] >= 9 and measured["cuts"] >= 27 and measured["standard_error"] > 0
    assert rows["tf_efficientnet_lite0"] is None and rows["tf_efficientnet_lite4"] is None


def test_the_screen_shows_points_and_folders(regraft):
    lines = regraft("backbones", "tf_efficientnet_lite*").out.splitlines()
    points = measured_networks()["tf_efficientnet_lite2"].points
    assert any("lite0" in line and "the reference" in line for line in lines)
    assert any("lite2" in line and f"{points:+.1f} ± " in line and "folders" in line for line in lines)
