"""Every notebook in examples/ runs from a clean kernel, without a GPU or a TPU."""

import pathlib
import shutil

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("sklearn")

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "examples").glob("*.ipynb"))

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # data sets are prepared there
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    # TensorFlow sees no GPU in tests, while the notebook would find the driver.
    set_device(notebook, "CPU")
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = "\n".join(
        output.text for cell in code for output in cell.outputs if "text" in output
    )
    pictures = [
        output.data["image/png"]
        for cell in code
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
    assert "This notebook will train on: CPU" in text
    assert "1 replica(s), batches of 64, features in float32" in text
    assert "The weights are on CPU:0." in text
    assert "Epoch 15/15" in text
    nbformat.write(notebook, tmp_path / path.name)


def set_device(notebook, device):
    choice = next(cell for cell in notebook.cells if "DEVICE =" in cell.source)
    assert 'DEVICE = "auto"' in choice.source
    choice.source = choice.source.replace('DEVICE = "auto"', f'DEVICE = "{device}"')


@pytest.mark.parametrize("device", ["TPU", "GPU"])
def test_a_device_that_is_not_there_is_an_error(device, tmp_path):
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    if device == "GPU" and shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    set_device(notebook, device)
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    with pytest.raises(
        nbclient.exceptions.CellExecutionError,
        match=f"DEVICE is '{device}', and this runtime has no {device}",
    ):
        client.execute(cwd=str(tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
