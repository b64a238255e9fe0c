"""A kernel as JupyterLab runs it: folds, time and loss below the cell, interrupted and gone on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from test_validation import SMALL, small_dataset

from fesemlib.storage import BUILD_FOLDER
from fesemlib.validation.leave_one_out import leave_one_formulation_out

ROOT = Path(__file__).parent.parent
PARAMETERS = SMALL.model_copy(update={"epochs": 60})
PREPARE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from test_kernel import PARAMETERS, small_dataset
from fesemlib.validation.leave_one_out import leave_one_formulation_out
"""
TRAIN = "table = leave_one_formulation_out(small_dataset(), PARAMETERS)"


class Cell:
    """A cell that runs, and what is seen below it."""

    def __init__(self, client: BlockingKernelClient, source: str) -> None:
        self.client = client
        self.message = client.execute(source, allow_stdin=True)
        self.seen: list[str] = []
        self.error = ""

    def follow(self, until: str | None = None) -> None:
        """Read on to the end of the cell, or until something is seen below it."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=240)
            if message["parent_header"].get("msg_id") != self.message:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return
            if kind == "error":
                self.error = content["ename"]
            if kind in ("display_data", "update_display_data"):
                self.seen.append(content["data"]["text/plain"])
                if until is not None and re.search(until, self.seen[-1]):
                    return
        raise AssertionError(f"nothing more after {self.seen}")


@pytest.fixture
def kernel(own_build: Path) -> Iterator[Any]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, BUILD_FOLDER: str(own_build)})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_interrupted_kernel_goes_on_from_the_folds_that_are_finished(
    kernel: Any, own_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt reaches the processes that train as well: they are in the kernel's group."""
    manager, client = kernel
    cell = Cell(client, PREPARE)
    cell.follow()
    assert cell.error == ""

    cell = Cell(client, TRAIN)
    cell.follow(until=r"^2 of 6 folds · .* left · loss \d")
    manager.interrupt_kernel()
    cell.follow()
    assert cell.error == "KeyboardInterrupt"
    assert cell.seen[-1] == ""  # nothing is left below the cell
    folder = own_build / "cache" / "folds"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert 2 <= len(kept) < 6

    table = tmp_path / "table.pkl"
    cell = Cell(client, f"{TRAIN}; table.to_pickle({str(table)!r})")
    cell.follow()
    assert cell.error == ""
    assert cell.seen[1] == f"{len(kept)} of 6 folds"
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}.items()

    monkeypatch.setenv(BUILD_FOLDER, str(tmp_path / "undisturbed"))
    expected = leave_one_formulation_out(small_dataset(), PARAMETERS)
    pd.testing.assert_frame_equal(pd.read_pickle(table), expected, check_exact=True)
