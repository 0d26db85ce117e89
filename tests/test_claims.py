"""results.json and evaluation.npz: what is written is what is read, and what is broken is refused in one line."""

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from planted_results import plant_evaluation, plant_results

from gputhermo.axioms import Agreement
from gputhermo.bootstrap import Estimate
from gputhermo.claims import (
    PAPER,
    Results,
    claim,
    decimals,
    dust_claim,
    line_claims,
    load_evaluation,
    load_results,
    save_evaluation,
    save_results,
    scaled_claims,
)
from gputhermo.entropy import Line
from gputhermo.errors import InputError

WHOLE, PART = Estimate(0.9, 0.8, 0.95), Estimate(0.7, 0.6, 0.75)


def test_numbers_of_the_paper():
    """Sections IV A and B of arXiv:2506.01506; loss and accuracy are those of its section III B."""
    assert (PAPER["test_loss"], PAPER["test_accuracy"]) == (0.1041, 0.9534)
    assert (PAPER["A1_r2"], PAPER["A5_split_r2"], PAPER["A5_recombined_r2"]) == (0.9951, 0.9949, 0.9946)
    assert (PAPER["A3_agreement"], PAPER["A4_agreement"], PAPER["extensivity_r2"]) == (0.9995, 0.9417, 0.9766)
    assert set(PAPER) <= set(Results.model_fields)


def test_results_come_back_as_they_were(tmp_path: Path):
    results = plant_results()
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results


def test_each_claim_is_an_entry_of_the_file_by_its_name(tmp_path: Path):
    save_results(plant_results(), tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    names = "test_accuracy test_loss A1_r2 A2 A3_agreement A3_agreement_unrestricted A4_agreement A5_split_r2"
    for name in [*names.split(), "A5_recombined_r2", "extensivity_r2", "monotonicity"]:
        assert written[name]["low"] <= written[name]["value"] <= written[name]["high"]
        assert written[name]["paper"] == PAPER.get(name)
    assert [point["epsilon"] for point in written["A6_curve"]] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
    for of_n in (written["entropy_r2"], written["virial_r2"], *written["A6_curve"]):
        assert {"value", "low", "high", "paper"} <= set(of_n.get("500", of_n))
    assert list(written["entropy_r2"]) == ["500", "1000", "1500", "2000"]


def test_an_estimate_becomes_a_claim_beside_the_number_of_the_paper():
    found = claim("A4_agreement", WHOLE, reference=PART)
    assert (found.value, found.low, found.high, found.paper) == (0.9, 0.8, 0.95, 0.9417)
    assert found.reference is not None
    assert (found.reference.value, found.reference.low, found.reference.high) == (0.7, 0.6, 0.75)
    alone = claim("monotonicity", WHOLE)
    assert (alone.paper, alone.reference) == (None, None)


def test_an_agreement_becomes_claims_in_its_order():
    agreement = Agreement(mean=WHOLE, each=(WHOLE, PART))
    scaled = scaled_claims([(0.5, "y"), (0.6, "x")], agreement, reference=Agreement(mean=WHOLE, each=(PART, WHOLE)))
    assert [(one.fraction, one.cut, one.value) for one in scaled] == [(0.5, "y", 0.9), (0.6, "x", 0.7)]
    assert [one.reference.value for one in scaled if one.reference] == [0.7, 0.9]
    dust = dust_claim(0.01, agreement)
    assert (dust.epsilon, dust.value, dust.pairs, dust.reference) == (0.01, 0.9, (0.9, 0.7), None)


def test_a_line_becomes_a_claim_about_its_r2():
    line = Line(slope=Estimate(0.01, 0.009, 0.011), intercept=Estimate(-30.0, -31.0, -29.0), r2=WHOLE)
    found = line_claims({500: line}, {500: dataclasses.replace(line, r2=PART)})["500"]
    assert (found.value, found.slope.low, found.intercept.high) == (0.9, 0.009, -29.0)
    assert found.reference is not None
    assert found.reference.value == 0.7


def test_what_is_below_one_never_looks_like_one():
    assert decimals(1.0) == "1.0000"
    assert decimals(0.95344) == "0.9534"
    assert decimals(0.99997) == "0.99997"
    assert decimals(0.999999994) == "0.99999999"
    assert decimals(-0.25) == "-0.2500"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) // 2], "the file: Invalid JSON"),
        (lambda text: text.replace('"monotonicity"', '"harmony"'), "monotonicity: Field required"),
        (lambda text: text.replace("0.9621", "NaN"), "test_accuracy.value: Input should be a finite number"),
        (lambda text: "[]", "the file: Input should be an object"),
    ],
)
def test_what_are_no_results_is_refused_in_one_line(tmp_path: Path, change, says):
    save_results(plant_results(), tmp_path / "results.json")
    (tmp_path / "results.json").write_text(change((tmp_path / "results.json").read_text()))
    with pytest.raises(InputError) as caught:
        load_results(tmp_path / "results.json")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_results_that_are_not_there(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_results(tmp_path / "results.json")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_evaluation(tmp_path / "evaluation.npz")


def test_an_evaluation_comes_back_bit_for_bit(tmp_path: Path):
    evaluation = plant_evaluation()
    save_evaluation(evaluation, tmp_path / "evaluation.npz")
    loaded = load_evaluation(tmp_path / "evaluation.npz")
    for field in dataclasses.fields(evaluation):
        before, after = getattr(evaluation, field.name), getattr(loaded, field.name)
        assert type(before) is type(after), field.name
        np.testing.assert_array_equal(before, after, strict=True)


def test_nothing_is_unpickled(tmp_path: Path):
    class Alarm:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    path = tmp_path / "evaluation.npz"
    np.savez(path, entropies=np.array([Alarm()], dtype=object))
    with pytest.raises(InputError, match="holds no evaluation"):
        load_evaluation(path)
    path.write_bytes(pickle.dumps(Alarm()))
    with pytest.raises(InputError, match="holds no evaluation"):
        load_evaluation(path)


def test_what_is_no_evaluation_is_refused(tmp_path: Path):
    path = tmp_path / "evaluation.npz"
    save_evaluation(plant_evaluation(), path)
    whole = path.read_bytes()
    for broken in (b"", whole[:1000], whole[:-100], whole[:5000] + bytes(2000) + whole[7000:]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"holds no evaluation|cannot be read"):
            load_evaluation(path)
    np.savez(path, entropies=np.zeros(3))
    with pytest.raises(InputError, match="holds no evaluation of this version"):
        load_evaluation(path)
