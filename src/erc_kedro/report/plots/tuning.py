"""Figures of a search, drawn by Optuna."""

import warnings
from collections.abc import Callable

import optuna
from plotly.graph_objects import Figure

from erc_kedro.report.plots.style import sentence


def of_study(study: optuna.Study) -> dict[str, Figure]:
    """History, importances, parallel coordinates, slices and Pareto front; a sentence where there is none."""
    draw = optuna.visualization
    names = study.metric_names or ["score"]
    target = {"target": lambda trial: trial.values[0]} if len(names) > 1 else {}
    made = {}
    plots: dict[str, Callable[..., Figure]] = {
        "history": draw.plot_optimization_history,
        "importances": draw.plot_param_importances,
        "parallel": draw.plot_parallel_coordinate,
        "slices": draw.plot_slice,
    }
    for name, plot in plots.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                made[name] = plot(study, **target, target_name=names[0])
            except (ValueError, RuntimeError) as error:
                made[name] = sentence(f"Too few complete trials for this figure ({error})")
    if len(names) > 1:
        made["front"] = draw.plot_pareto_front(study)
    else:
        made["front"] = sentence("One objective only: tune.second_objective gives a Pareto front")
    return made
