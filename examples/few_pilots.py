"""One pilot, and nobody else: what can be said of it, and on what condition.

python examples/few_pilots.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk

METRIC = "cpp"


def main() -> None:
    """Keep the first pilot of the synthetic evaluation, whose true effect is zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    one = design.compared_with(dk.Pool())  # every other authority: ranks need many
    for other in design.pilots[1:]:
        one = one.without_pilot(other)
    did = dk.DiD("complete").fit(one, METRIC)

    sized = did.infer(dk.FermanPinto())
    told, rank = sized["att"], did.infer(dk.Permutation("beta"))
    noisier = did.infer(dk.LauLi()).attached.facts["breakdown_ratio"]
    found = sized.check(dk.Breakdown())
    print(f"{did.metric.label}: one pilot against {len(did.sample.units) - 1} other authorities")
    print(
        f"Ferman–Pinto: {told['estimate']:+.1f} ({told['conf_low']:+.1f} to "
        f"{told['conf_high']:+.1f}), p = {told['p_value']:.3f}"
    )
    among = rank.attached.facts["draws"]
    place = round(rank["att"]["p_value"] * among)
    print(f"Rank: {place} of {among} are as far from zero, this one among them")
    print(f"Lau–Li: zero is at the end of the interval with a pilot {noisier:.2f} times as noisy")
    print(found.headline)
    found.plot().figure.savefig(file := folder / "few_pilots.png", dpi=110)
    print(file)


if __name__ == "__main__":
    main()
