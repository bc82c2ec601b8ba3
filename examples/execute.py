"""Execute: a notebook -> the same notebook with the outputs of a run of all its cells, as it is committed.

    python -m examples.execute examples/quickstart.ipynb

What a run leaves that belongs to this machine alone is taken out: the repository's path, times of cells.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECONDS = 600  # that a cell may take


def main(arguments: list[str]) -> int:
    """Execute the notebooks that are named; return the exit code."""
    import nbformat

    for path in map(Path, arguments):
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(execute(notebook, path.resolve().parent, root=ROOT), path)
    return 0


def execute(notebook: Any, folder: Path, *, root: Path) -> Any:
    """Run all cells of a notebook in a folder.

    Args:
        notebook: as nbformat reads it; it is changed.
        root: the repository, whose path is left out of the outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    from nbclient import NotebookClient

    place = {"metadata": {"path": str(folder)}}
    run = NotebookClient(notebook, timeout=SECONDS, record_timing=False, coalesce_streams=True, resources=place)
    executed = run.execute()
    for cell in executed.cells:
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = output["text"].replace(f"{root}/", "").replace(str(root), ".")
    executed.metadata.language_info = {"name": "python"}
    return executed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
