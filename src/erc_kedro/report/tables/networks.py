"""Tables of what the networks do inside, and of what they lose with a modality."""

from erc_kedro.report.section import CorpusSection, Table

_WEIGHT_TITLES = {
    "gates": "Mean gate by true emotion, test: how far the first modality strengthens the second (0 to 1)",
    "pairs": "Mean balance of each pair by true emotion, test: the first member's share (0 to 1)",
    "products": "Mean share of each pair's guided product by true emotion, test (0 to 1)",
    "fusion": "Mean fusion weight by true emotion, test: each representation's share of the whole",
}


def network_tables(section: CorpusSection) -> dict[str, Table]:
    """The tables of one corpus's networks, by name."""
    made = {
        name: Table(title, section.results[name], "weights")
        for name, title in _WEIGHT_TITLES.items()
        if name in section.results
    }
    if "degraded" in section.results:
        made["degraded"] = Table(
            "One modality missing (amount: share of test utterances) or noisy (amount: deviations of its "
            "training features), scores × 100 on test",
            section.results["degraded"],
        )
    return made
