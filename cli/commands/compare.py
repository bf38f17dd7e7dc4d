"""``featkd compare``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, json_option


@click.command(epilog=example("featkd compare runs/demo"))
@click.argument("workdirs", metavar="WORKDIR...", nargs=-1, required=True, type=any_path)
@json_option
def compare(*, workdirs: tuple[Path, ...], as_json: bool) -> None:
    """Compare methods, over all their seeds.

    Each method is set against the student that had no teacher: classifiers in top-1, detectors in
    mAP. Reads summary.json and
    evaluation.json of every run in the given work folders (or run folders). Writes nothing.
    """
    from featkd.cli.comparison_table import print_comparison, print_detector_comparison
    from featkd.cli.tables import print_json
    from featkd.evaluation import compare as compare_runs
    from featkd.evaluation import compare_detectors, find_runs

    runs = find_runs(workdirs)
    if any(run.detection for run in runs):
        detectors = compare_detectors(runs)
        if as_json:
            print_json(detectors.to_json())
        else:
            print_detector_comparison(detectors)
        return
    comparison = compare_runs(runs)
    if as_json:
        print_json(comparison.to_json())
    else:
        print_comparison(comparison)
