"""The notebook runs from top to bottom on the finished demo, and is kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "explore_predictions.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_no_outputs_are_stored(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_it_runs(notebook, demo):
    before = demo.files()
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    # A cell that fails raises here, with its traceback.
    client.execute(cwd=str(demo.folder), env=demo.environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "application/vnd.plotly.v1+json" in kinds
    printed = "".join(
        output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"
    )
    assert "SYNTHETIC: 2 seeds" in printed
    tables = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    errors = next(table for table in tables if "confidence" in table)
    assert all(f"<th>{name}</th>" in errors for name in ("speaker", "text", "label", "predicted"))
    assert errors.count("<tr") > 2
    # Looking changes nothing.
    assert demo.files() == before
