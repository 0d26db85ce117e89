"""Settings of training: what is not given follows from the network, and mistakes are one line."""

from pathlib import Path

import pytest

from gputhermo.errors import InputError
from gputhermo.parameters import RECIPES, TrainSettings, load_train_settings


@pytest.mark.parametrize("network", RECIPES)
def test_what_is_not_given_is_as_the_recipe_of_the_network(network: str):
    settings = load_train_settings(network=network)
    assert {name: getattr(settings, name) for name in RECIPES[network]} == RECIPES[network]
    assert settings == TrainSettings(network=network)
    assert load_train_settings() == TrainSettings() == TrainSettings(network="paper")


def test_file_and_command_line_come_before_preset_and_recipe(tmp_path: Path):
    file = tmp_path / "train.toml"
    file.write_text('network = "pooled"\nlearning_rate = 0.5\n')
    settings = load_train_settings(file, preset="demo", seed=3)
    assert (settings.network, settings.learning_rate, settings.epochs, settings.seed) == ("pooled", 0.5, 40, 3)
    assert load_train_settings(file).epochs == RECIPES["pooled"]["epochs"]
    assert load_train_settings(file, network="paper", epochs=7).epochs == 7


@pytest.mark.parametrize("value", ['"other"', "[1, 2]", "3"])
def test_an_unknown_network_is_named_with_those_that_there_are(value: str, tmp_path: Path):
    file = tmp_path / "train.toml"
    file.write_text(f"network = {value}\n")
    with pytest.raises(InputError, match=r"network = .* is not allowed: .*'paper' or 'pooled'") as error:
        load_train_settings(file)
    assert "\n" not in str(error.value)
