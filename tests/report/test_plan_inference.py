"""``[inference]`` and ``[multiplicity]`` of a plan: mistakes, all of them, and what clashes."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from report.test_plan import SMALL, edited, line_of, refused, write_rates

import didkit as dk
from didkit.report import Plan
from didkit.report.multiplicity import adjust
from didkit.report.plan_inference import JOINTLY, METHODS
from didkit.report.plan_template import write_template
from didkit.report.run import evaluate


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    (tmp_path / "plan.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path


def told(home: Path, text: str) -> list[str]:
    """Return each mistake of the plan with this section, by the words before the first space."""
    path = edited(home, '["cla"]', f'["cla"]\n[inference]\n{text}\n[checks]\nPreTrends = true')
    error = refused(path)
    lines = error.found.split("\n    ")
    return lines[1:] if lines[0].endswith(" mistakes") else [error.where + error.found]


LEVELS = [
    ("95", "0.95"), ("5", "0.95"), ("10", "0.9"), ("1.5", "0.985"), ("50", "0.5"),
    ("99", "0.99"), ("0", "0.95"), ("1", "0.95"), ("100", "0.95"), ("-5", "0.95"),
]  # fmt: skip


@pytest.mark.parametrize(("level", "meant"), LEVELS)
def test_a_level_in_percent_or_its_complement(home: Path, level: str, meant: str) -> None:
    path = edited(home, '["cla"]', f'["cla"]\n[inference]\nlevel = {level}')
    assert refused(path).todo == f"write level = {meant}"


TOGETHER = [
    ('method = "wild_bootstrap"\nnull = "restrict"\ndraws = 0\nseed = 1.5',
     ("null)", "draws)", "seed)")),
    ('method = "wild_bootstrap"\nnull = "restrict"\nsigns = "x"\ndraws = 3',
     ("null)", "signs)", "draws)")),
    ('method = "permutation"\nseed = 1.5\nlevel = 95', ("seed)", "level)")),
    ('method = "permutatoin"\ndraws = 0\nseed = 1.5\nlevle = 0.9',
     ("method)", "draws)", "seed)", "levle)")),
    ('method = "none at all"\nlevle = 0.9\ndraws = 5', ("method)", "levle)")),
    ('method = "wild_bootstrap"\nscores = "jackknife"\nsubclusters = "units"\nlevel = 3',
     ("(inference)", "level)")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys"), TOGETHER)
def test_mistakes_of_a_section_are_told_together(
    home: Path, text: str, keys: tuple[str, ...]
) -> None:
    found = told(home, text)
    assert len(found) == len(keys), found
    for key in keys:
        assert sum(key in one.split(": ")[0] for one in found) == 1, (key, found)
    assert not any("checks" in one for one in found)


@pytest.mark.parametrize(
    "text", ['method = "permutation"\nseed = 1.5\ndraws = 0', "method = 3", "level = 95"]
)
def test_a_wrong_inference_does_not_make_other_sections_unknown(home: Path, text: str) -> None:
    assert not any("unknown key" in one for one in told(home, text))
    assert not any("checks" in one.split(": ")[0] for one in told(home, text))


def test_mistakes_of_the_checks_are_told_beside_those_of_the_inference(home: Path) -> None:
    path = home / "plan.toml"
    path.write_text(
        f'{SMALL}[inference]\nmethod = "permutation"\ndraws = 0\n'
        "[checks.PlaceboPilots]\ndraws = 0\nseed = -1\n",
        encoding="utf-8",
    )
    error = refused(path)
    lines = [line_of(path, words) for words in ("method =", "[checks.Pl", "seed = -1")]
    assert error.where == f"plan.toml, lines {lines[0] + 1}, {lines[1] + 1}, {lines[2]}"


# -- what does not go together ---------------------------------------------------------------------


@pytest.mark.parametrize("adjusted", ["romano-wolf", "max-t", "holm", "none"])
@pytest.mark.parametrize("method", ["recommended", *METHODS])
def test_joint_adjustment_needs_a_method_with_joint_draws(
    home: Path, method: str, adjusted: str
) -> None:
    path = home / "plan.toml"
    path.write_text(
        f'{SMALL}[inference]\nmethod = "{method}"\n[multiplicity]\nmethod = "{adjusted}"\n',
        encoding="utf-8",
    )
    if adjusted in ("holm", "none") or method in ("recommended", "permutation", "cluster_robust"):
        assert Plan.read(path).multiplicity == adjusted
        return
    error = refused(path)
    assert f"line {line_of(path, adjusted)} (multiplicity.method)" in error.where
    assert f'method = "{method}"' in error.found
    assert f"line {line_of(path, method)} (inference.method)" in error.found
    assert "permutation, cluster_robust or recommended" in error.needed


def test_the_joint_methods_are_those_that_are_adjusted_jointly() -> None:
    """A method that the plan refuses beside romano-wolf is one that the library refuses too."""
    _, design = dk.datasets.load_evaluation()
    fits = [dk.DiD().fit(design, metric) for metric in ("cpp", "icpc")]
    for name in ("permutation", "cluster_robust", "jackknife", "conley_taber", "wild_bootstrap"):
        options = {} if name in ("cluster_robust", "jackknife") else {"draws": 99}
        made = [one.infer(METHODS[name](**options)) for one in fits]
        if name in JOINTLY:
            assert len(dk.adjusted_p_values(made, methods=("max-t",))) == 2
        else:
            with pytest.raises(dk.InferenceError, match="joint draws"):
                dk.adjusted_p_values(made, methods=("max-t",))


def run(home: Path, lacking: str, inference: str) -> dict[str, str]:
    """Evaluate three metrics, one without an authority: deviations of the adjustment, by metric."""
    text = SMALL.replace('["cla"]', '["cla", "other"]\nsecondary = ["third", "fourth"]')
    values = '{rate = "cla", more = "other", most = "third", last = "fourth"}'
    text = text.replace('{rate = "cla"}', values)
    more = f'[inference]\n{inference}\n[checks]\n[multiplicity]\nmethod = "romano-wolf"\n'
    (home / "plan.toml").write_text(text + more, encoding="utf-8")
    file = home / "data" / "rates.csv"
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    wide = [f"{head},more,most,last"]
    for row in rows:
        unit, _, value = row.split(",")
        other = "" if unit == lacking else float(value) * 2 + int(unit) % 5
        wide.append(f"{row},{other},{float(value) / 3},{float(value) / 4}")
    file.write_text("\n".join(wide), encoding="utf-8")
    made = evaluate(Plan.read(home / "plan.toml"))
    assert made.record is not None
    where = "multiplicity 'romano-wolf' of "
    return {
        one.what.removeprefix(where): one.found
        for one in made.record.deviations
        if one.what.startswith(where)
    }


PYTHON = ("methods=", "seed=", "draws=", "Error", "cells=", "design.", "Permutation(", "Robust(")


def test_a_joint_adjustment_that_a_run_refuses_is_told_in_plain_english(home: Path) -> None:
    said = run(home, "319", 'method = "permutation"\ndraws = 99')
    assert list(said) == ["cla", "other"]
    for found in said.values():
        assert found.startswith("refused: primary metrics are not adjusted by Romano and Wolf")
        assert "not all metrics are observed in the same authorities: 1 (319) lack one" in found
        assert "plan cluster_robust or holm" in found
        assert not any(word in found for word in PYTHON)


def test_each_family_has_its_own_reason_and_none_is_left_out(home: Path) -> None:
    assert run(home, "", 'method = "permutation"\ndraws = 99') == {}


def test_methods_without_joint_draws_and_methods_that_differ_are_told_in_words() -> None:
    _, design = dk.datasets.load_evaluation()
    fits = {name: dk.DiD().fit(design, name) for name in ("cpp", "icpc")}
    p = dict.fromkeys(fits, 0.5)
    families = {"secondary": list(fits)}
    for ways, words in (
        ((dk.Jackknife(), dk.Jackknife()), "permutation and cluster_robust do and other methods"),
        ((dk.ClusterRobust("CR2"), dk.ClusterRobust("CR1")), "are judged in different ways"),
    ):
        made = {n: one.infer(by) for (n, one), by in zip(fits.items(), ways, strict=True)}
        adjusted, notes = adjust(p, families, "max-t", made)
        assert all(math.isnan(value) for value in adjusted.values())
        assert notes[0].startswith("secondary metrics are not adjusted by the largest t: ")
        assert words in notes[0]
        assert f"cpp by {made['cpp'].attached.method}" in notes[0]
        assert not any(word in notes[0] for word in PYTHON)


# -- the template ----------------------------------------------------------------------------------


def test_the_template_names_every_method(tmp_path: Path) -> None:
    text = write_template(tmp_path).read_text(encoding="utf-8")
    section = text[text.index("[inference]") : text.index("[checks]")]
    assert set(METHODS) == set(re.findall(r"[a-z]+(?:_[a-z]+)*", section)) & set(METHODS)
