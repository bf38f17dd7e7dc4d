"""Choose the weights of a recipe's distillers: five values, factor sqrt(10), validation split.

    python benchmarks/weight_search.py demo --methods kd,generative --seeds 0

Trains one student per value and seed, measures each on the recipe's validation split (never on the
test split) and writes benchmarks/results/weight_search_<recipe>.json. The value with the best mean
wins; a tie goes to the smaller value. Interrupted, it resumes. `featkd experiment` searches the
weights of its tables in the same way.
"""

import argparse
import json

from record import save_record

from featkd.cli.experiment_stages import prepare
from featkd.cli.progress import show_progress
from featkd.experiment.weight_search import search_weights
from featkd.recipes import load_recipe
from featkd.recipes.base_table import WeightSearch
from featkd.recipes.table import RowSpec

GRID = {
    "kd": WeightSearch(key="kd_weight", values=(0.1, 0.32, 1.0, 3.2, 10.0)),
    "at": WeightSearch(key="beta", values=(10.0, 32.0, 100.0, 320.0, 1000.0)),
    "generative": WeightSearch(key="attention_weight", values=(3.2, 10.0, 32.0, 100.0, 320.0)),
}
"""Method to the weight that is searched."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--methods", default="kd,at,generative")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--workdir", default=None)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    overrides = list(arguments.overrides)
    if arguments.workdir:
        overrides += [
            f"workdir={arguments.workdir}",
            f"data.manifest={arguments.workdir}/data/manifest.csv",
        ]
    recipe = load_recipe(arguments.recipe, overrides)
    rows = {
        method: RowSpec(
            label=method,
            distiller=recipe.distillers[method],
            baseline=None,
            search=GRID[method],
        )
        for method in arguments.methods.split(",")
    }
    with show_progress(quiet=False) as progress:
        prepare(recipe, progress)
        found = search_weights(
            recipe,
            rows,
            [int(seed) for seed in arguments.seeds.split(",")],
            num_processes=arguments.processes,
            progress=progress,
        )
    methods = {method: result.to_json() for method, result in found.items()}
    path = save_record(f"weight_search_{recipe.name}", {"methods": methods})
    print(json.dumps({method: result.chosen for method, result in found.items()}), f"-> {path}")


if __name__ == "__main__":
    main()
