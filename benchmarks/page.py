"""The figures as Markdown."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

TITLES = {
    "speed": "Speed, memory and arithmetic",
    "length": "Growth with the length of dialogues",
    "corpus": "Growth with the size of the corpus",
    "peers": "Baselines",
    "overhead": "Kedro and MLflow over a plain script",
    "extraction": "Clips to vectors",
    "scoring": "Recordings to results",
    "coverage": "How often intervals hold the true value",
}


def page(results: dict[str, Any]) -> str:
    """All parts that were ever run here."""
    parts = [part(name, results[name]) for name in TITLES if name in results]
    return "# Benchmarks\n\nWhat the columns mean: benchmarks/README.md.\n\n" + "\n".join(parts)


def part(name: str, result: dict[str, Any]) -> str:
    """One part as a section."""
    machine = result["machine"]
    quick = " **Quick: small sizes, not to be quoted.**" if result["quick"] else ""
    where = f"{machine['cores']} cores {machine['processor']}, load {machine['load_before']:.1f} before"
    software = f"Python {machine['python']}, torch {machine['torch']}"
    line = f"{result['finished']}, {result['took_s']:.0f} s, {where}, {software}.{quick}"
    return f"## {TITLES[name]}\n\n{line}\n\n{_BODIES[name](result['figures'])}"


def _speed(figures: dict[str, Any]) -> str:
    return "\n".join(
        [
            _rates(figures),
            "Memory, MiB:\n",
            _table(
                "corpus|what|threads|peak|features|imports|peak above features|working memory by stage",
                [
                    [corpus, what, run["threads"], *_memory(run["memory"])]
                    for corpus, what, run in _runs(figures)
                ],
            ),
            "One dialogue at a time, milliseconds:\n",
            _table(
                "corpus|dialogue, utterances|threads|median|95th percentile",
                [
                    [
                        *(corpus, f"{which}, {ms['utterances']}", run["threads"]),
                        *(f"{ms['median']:.1f}", f"{ms['p95']:.1f}"),
                    ]
                    for corpus, of in figures.items()
                    for run in of["infer"]
                    for which, ms in run["latency_ms"].items()
                ],
            ),
            "Work, MFLOP per real utterance:\n",
            _work(figures),
        ]
    )


def _runs(figures: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for corpus, of in figures.items():
        for kind, what in (("train", "training"), ("infer", "prediction")):
            for run in of[kind]:
                yield corpus, what, run


def _rates(figures: dict[str, Any]) -> str:
    rows = []
    for corpus, what, run in _runs(figures):
        flops = figures[corpus]["work"]["flops"]["training" if what == "training" else "predict"]
        each = run["utterances_per_s_each"]
        speeds = [(what, run["utterances_per_s"], f"{min(each):,.0f} to {max(each):,.0f}")]
        if "forward_utterances_per_s" in run:
            speeds.append(("its forward passes", run["forward_utterances_per_s"], ""))
        machine = " / ".join(f"{rate:.0f}" for rate in run["matmul_gflops"])
        for name, speed, spread in speeds:
            reached = speed * flops / 1e9
            share = reached / statistics.mean(run["matmul_gflops"])
            rows.append(
                [
                    *(corpus, name, run["threads"], f"{speed:,.0f}", spread, f"{run['processor_share']:.2f}"),
                    *(f"{reached:.1f}", machine, f"{100 * share:.0f} %"),
                ]
            )
    return _table(
        "corpus|what|threads|utterances/s|lowest to highest|processor share|GFLOP/s"
        "|matrix product before / after|share of it",
        rows,
    )


def _work(figures: dict[str, Any]) -> str:
    kinds = ("forward", "training", "predict")
    rows = []
    for corpus, of in figures.items():
        work = of["work"]
        flops, by_hand = work["flops"], work["flops_by_hand"]
        rows.append(
            [
                *(corpus, f"{work['parameters']:,}", work["batches"]),
                *(f"{100 * work[key]:.1f} %" for key in ("padding", "padding_predict")),
                *(f"{flops[kind] / 1e6:.2f}" for kind in kinds),
                " / ".join(f"{flops[kind] / by_hand[kind]:.3f}" for kind in kinds),
            ]
        )
    return _table(
        "corpus|parameters|training batches|padding, training|padding, predict|forward|training step"
        "|forward in predict|counted / by hand",
        rows,
    )


def _growth(first: str, key: str) -> Callable[[dict[str, Any]], str]:
    def body(figures: dict[str, Any]) -> str:
        rows = []
        base = figures["rows"][0]
        for row in figures["rows"]:
            memory, before = row["memory"], base["memory"]
            stages = memory["working"]
            top, was = max(stages.values()), max(before["working"].values())
            rows.append(
                [
                    *(f"{row[key]:,}", f"{row['utterances_per_s']:,.0f}"),
                    f"{row['utterances_per_s'] / base['utterances_per_s']:.2f}",
                    *(f"{memory['features']:,.0f}", f"{memory['above_features']:,.0f}"),
                    f"{memory['above_features'] / before['above_features']:.2f}",
                    *(f"{stages[stage]:,.0f}" for stage in ("key", "training", "prediction")),
                    *(
                        f"{top / was:.2f}",
                        f"{row['key_seconds']:.2f}",
                        f"{row['predict_and_save_seconds']:.1f}",
                    ),
                ]
            )
        return _table(
            f"{first}|training utterances/s|to first|features MiB|peak above features MiB|to first"
            "|working MiB: key|training|prediction|highest to first|key s|predict and save s",
            rows,
        )

    return body


def _peers(figures: dict[str, Any]) -> str:
    rows = [
        [
            *(corpus, name, f"{of['parameters']:,}", f"{of['utterances_per_s']:,.0f}"),
            f"{of['ours_is_times']:.2f}",
        ]
        for corpus, each in figures.items()
        for name, of in each.items()
    ]
    return _table("corpus|architecture|parameters|training utterances/s|gated_fusion is times as fast", rows)


def _overhead(figures: dict[str, Any]) -> str:
    names = {"bare": "plain script", "kedro": "Kedro, tracking off", "tracked": "Kedro and MLflow"}
    added = {"kedro_adds": "Kedro adds", "tracking_adds": "tracking adds", "both_add": "both add"}
    rows = []
    for length, of in figures.items():
        label = f"{length}, {of['epochs']} epochs × {of['rounds']}"
        for key, name in names.items():
            if key in of:
                rows.append(
                    [label, name, f"{of[key]['wall_s']:.1f}", "", f"{of[key]['processor_s']:.1f}", ""]
                )
        for key, name in added.items():
            if key in of:
                plus = of[key]
                rows.append(
                    [
                        *(label, f"**{name}**", f"{plus['wall_s']:+.1f}", f"{plus['wall_percent']:+.1f} %"),
                        *(f"{plus['processor_s']:+.1f}", f"{plus['processor_percent']:+.1f} %"),
                    ]
                )
    same = all(of["same_training"] for of in figures.values())
    said = "the same validation losses" if same else "**DIFFERENT losses: the comparison is void**"
    return (
        _table("training|what|wall s|share|processor s|share", rows)
        + "\nWhat both add to the long training is Kedro's part in the short one and tracking's in the long."
        + f"\nEach training went the same way whatever ran it: {said}.\n"
    )


def _extraction(figures: dict[str, Any]) -> str:
    clips, small = figures["clips"], figures["small"]
    made = "{} × {} pixels, {} s, {:.1f} Mbit/s"
    return "\n".join(
        [
            f"Clips: {made.format(*clips['size'], clips['seconds'], clips['mbit_s'])}; small ones: "
            f"{made.format(*small['size'], small['seconds'], small['mbit_s'])}.\n",
            _extraction_speed(figures["speed"], clips["seconds"]),
            "Processor seconds a clip, one process, warm, everything in turn:\n",
            _extraction_compared(figures),
            f"Again, small clips, whole calls of `runner.extract` with {figures['workers']} workers:\n",
            _table(
                "clips|process|seconds of each call",
                [
                    [run["clips"], process, ", ".join(f"{s:.2f}" for s in run["wall_s_each"])]
                    for process, run in zip(("one, empty cache", "another"), figures["cached"], strict=True)
                ],
            ),
            f"Memory, MiB, all three with {figures['workers']} workers:\n",
            _table(
                "clips|before|peak|to first|peak of the largest worker|to first",
                [
                    [
                        *(run["clips"], f"{run['before']:,.0f}"),
                        *_to_first(run, figures["memory"][0], "parent"),
                        *_to_first(run, figures["memory"][0], "worker"),
                    ]
                    for run in figures["memory"]
                ],
            ),
        ]
    )


_KINDS = {
    "sound": "sound alone",
    "video": "sound and video, {}, one speaker",
    "shared": "sound and video, {}, two speakers in one frame",
    "short": "small video",
    "long": "small video, long",
    "text": "its transcript alone",
}


def _scoring(figures: dict[str, Any]) -> str:
    runs = figures["runs"]
    size = "{} × {}".format(*figures["size"])
    rows = [
        [
            *(_KINDS[name].format(size), f"{run['seconds']:,.0f}", f"{run['utterances']:,}"),
            *(
                f"{run['cpu_s_per_s']:.4f}",
                f"{60 * run['cpu_s_per_s']:.1f}",
                f"{run['utterances_per_s']:,.0f}",
            ),
            *(f"{run['processor_share']:.2f}", f"{run['ready']['wall_s']:.1f} / {run['ready']['cpu_s']:.1f}"),
            *(f"{run['memory']['before']:,.0f}", f"{run['memory']['peak']:,.0f}", f"{run['results_mb']:.1f}"),
        ]
        for name, run in runs.items()
    ]
    growth = runs["long"]["memory"]["peak"] / runs["short"]["memory"]["peak"]
    times = runs["long"]["seconds"] / runs["short"]["seconds"]
    return (
        _table(
            "recording|seconds|utterances|processor s a second of it|a minute of it|utterances a processor s"
            "|processor share|model ready after, s / processor s|MiB before|peak|results MB",
            rows,
        )
        + f"\n{times:.0f} times as long a recording has {growth:.2f} times the peak of memory.\n"
    )


def _coverage(figures: dict[str, Any]) -> str:
    methods = {"percentile": 0, "BCa": 0, "studentised": 1, "ours": 1}
    found = {(r["population"], r["units"], r["what"], r["metric"], r["method"]): r for r in figures["rows"]}
    rows = []
    for population, units, what in dict.fromkeys(key[:3] for key in found):
        cells = [population, units, what]
        for method, with_length in methods.items():
            row = found.get((population, units, what, "weighted_f1", method))
            cells.append(f"{row['covers']:.3f}".lstrip("0") if row else "–")
            if with_length:
                cells.append(f"{100 * row['length']:.1f} / {100 * row['longest']:.0f}" if row else "–")
        for metric in ("accuracy", "macro_f1"):
            cells.append(f"{found[population, units, what, metric, 'ours']['covers']:.3f}".lstrip("0"))
        rows.append(cells)
    return (
        f"Nominal .95; {figures['repeats']:,} test splits, of which {figures['bootstrapped']:,} bootstrapped "
        f"with {figures['draws']:,} draws; lengths in points, median / longest.\n\n"
        + _table(
            "dialogues as in|units|of a|percentile|BCa|studentised|its length|ours|its length"
            "|ours, accuracy|ours, macro F1",
            rows,
        )
    )


def _extraction_speed(runs: list[dict[str, Any]], seconds: float) -> str:
    rows = []
    for run in runs:
        cached, start, ready = run["cached"], run["start"], run["ready"]
        workers = f"{start['wall_s']:.1f} / {start['cpu_s'] / run['workers']:.1f}" if start["cpu_s"] else ""
        beyond = ["too few"] * 4
        if run["clips_per_s"]:
            cpu = run["cpu_s_per_clip"]
            beyond = [f"{run['clips_per_s']:,.1f}", f"{cpu:.3f}", f"{cpu / seconds:.4f}"]
            beyond.append(f"{run['processor_share']:.2f}")
        rows.append(
            [
                *(run["what"], run["workers"], run["clips"], *beyond),
                *(workers, f"{run['clips'] / run['cold']['wall_s']:,.1f}"),
                *(f"{run['clips'] / cached['wall_s']:,.0f}", f"{1000 * cached['cpu_s'] / run['clips']:.2f}"),
                f"{ready['wall_s']:.1f} / {ready['cpu_s']:.1f}",
            ]
        )
    return _table(
        "what|workers|clips|clips/s|processor s a clip|a second of it|processor share"
        "|workers' start, s / processor s each|clips/s with it|cached clips/s|processor ms a clip"
        "|process ready after, s / processor s",
        rows,
    )


def _extraction_compared(figures: dict[str, Any]) -> str:
    compare = figures["compare"]
    cpu = compare["cpu_s_per_clip"]
    alone = {run["what"]: run["cpu_s_per_clip"] for run in figures["speed"] if run["workers"] == 1}
    shares = compare["decoding_share"]
    rows = [
        ["**all three**", cpu["all"], "1.00"],
        *([f"decoding {kind}", cpu[f"decoding_{kind}"], f"{share:.2f}"] for kind, share in shares.items()),
        ["audio alone without decoding", alone["audio"] - cpu["decoding_sound"], ""],
        ["visual alone without decoding", alone["visual"] - cpu["decoding_frames"], ""],
        ["text alone", alone["text"], ""],
        ["**the straightforward way**", cpu["plain"], f"{compare['plain_is_times']:.2f}"],
        *([f"its {name}", cpu[f"plain_{name}"], ""] for name in ("text", "audio", "visual")),
        ["of visual, looking for faces", cpu["plain_detection"], ""],
    ]
    return _table("what|processor s a clip|to all three", [[a, f"{b:.3f}", c] for a, b, c in rows])


def _to_first(run: dict[str, Any], first: dict[str, Any], key: str) -> list[str]:
    return [f"{run[key]:,.0f}", f"{run[key] / first[key]:.2f}"]


def _memory(memory: dict[str, Any]) -> list[str]:
    working = ", ".join(f"{stage} {value:,.0f}" for stage, value in memory["working"].items())
    return [
        *(f"{memory[key]:,.0f}" for key in ("peak", "features", "imports", "above_features")),
        working + ("" if memory["stages_apart"] else " (each with all before)"),
    ]


def _table(header: str, rows: Sequence[Sequence[Any]]) -> str:
    columns = header.split("|")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


_BODIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "speed": _speed,
    "length": _growth("utterances a dialogue", "length"),
    "corpus": _growth("times MELD", "times"),
    "peers": _peers,
    "overhead": _overhead,
    "extraction": _extraction,
    "scoring": _scoring,
    "coverage": _coverage,
}
