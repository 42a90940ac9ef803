"""Two pilots, each against a mixture of authorities that ran as it did before the start.

python examples/synthetic_control.py --out FOLDER
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import didkit as dk


def main() -> None:
    """Keep two pilots of the synthetic evaluation, whose true effect is zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    two = design.compared_with(dk.Pool())  # every other authority may enter the mixture
    for other in design.pilots[2:]:
        two = two.without_pilot(other)
    fits = [estimator.fit(two, "cla") for estimator in (dk.SyntheticControl(), dk.SyntheticDiD())]
    figure = Figure(figsize=(14, 5), layout="constrained")
    for axes, fit in zip(figure.subplots(1, 2), fits, strict=True):
        fit.plot(axes, kind="synthetic")
    file = folder / "synthetic_control.png"
    figure.savefig(file, dpi=110)
    control, did = (fit.infer(dk.PlaceboVariance(draws=25))["att"] for fit in fits)
    print(
        f"{file}: synthetic control {control['estimate']:+.1f} ± {control['std_error']:.1f}, "
        f"synthetic DiD {did['estimate']:+.1f} ± {did['std_error']:.1f}; the truth is 0"
    )


if __name__ == "__main__":
    main()
