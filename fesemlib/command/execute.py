"""From the notebooks to executed ones: only what has changed, each in a kernel of its own."""

from __future__ import annotations

import json
import logging
import pkgutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

import fesemlib
from fesemlib.command.provenance import Profile, Stamp, commit, device, versions, without_paths
from fesemlib.command.terminal import CommandError, say, watch
from fesemlib.params import Parameters
from fesemlib.progress import duration
from fesemlib.storage import code_digest, digest, writable

# Errors whose message says it all, and concerns no line of the notebook.
_CLEAR_ERRORS = {"DiskFullError", "SchedulerError", "TrainingError"}
# A kernel's ports are chosen before it starts: in between, another program may take one of them.
_STARTS = 3
_PORT_TAKEN = "Address already in use"


def execute_notebooks(profile: Profile, parameters: Parameters, data: str) -> None:
    """Execute the notebooks whose digest differs from the one of their last execution.

    `data` is the digest of the data set. A `CommandError` tells of a cell that fails; notebooks
    executed before it are kept and reused.
    """
    writable(profile.results)
    notebooks = profile.notebooks
    for number, notebook in enumerate(notebooks, start=1):
        label = f"notebook {number} of {len(notebooks)}: {notebook.stem}"
        injected = _injected_parameters(notebook, parameters, profile.results)
        determined_by = _execution_digest(notebook, injected, data)
        if _is_current(profile, notebook, determined_by):
            say(f"{label} · unchanged")
            continue
        profile.stamp(notebook).unlink(missing_ok=True)
        before = _states(profile.results)
        start = time.monotonic()
        with watch(label, profile.folder):
            _execute(notebook, profile.executed(notebook), injected)
        seconds = time.monotonic() - start
        Stamp(
            digest=determined_by,
            commit=commit(profile.root),
            parameters=without_paths(injected),
            data=data,
            versions=versions(),
            device=device(),
            seconds=round(seconds, 1),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            saved=sorted(name for name, *_ in _states(profile.results) - before),
        ).write(profile.stamp(notebook))
        say(f"{label} · executed in {duration(seconds)}")


def _injected_parameters(notebook: Path, parameters: Parameters, results: Path) -> dict[str, Any]:
    """The values for those parameters that the notebook declares."""
    from papermill import inspect_notebook

    values = {**parameters.model_dump(), "results": str(results.resolve())}
    declared = inspect_notebook(str(notebook))
    return {name: value for name, value in values.items() if name in declared}


def _execution_digest(notebook: Path, injected: Mapping[str, Any], data: str) -> str:
    """The digest of all that determines the outputs of a notebook."""
    cells = [
        (cell["cell_type"], "".join(cell["source"]), json.dumps(cell["metadata"], sort_keys=True))
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    ]
    influential = {**without_paths(injected), "parallel_jobs": 0}  # whose number changes no number
    # Of the package, all that notebooks may use.
    names = {module.name for module in pkgutil.iter_modules(fesemlib.__path__)}
    used = sorted(names - {"command", "progress"})
    code = code_digest(*(f"fesemlib.{name}" for name in used))
    files = sorted(Path(fesemlib.__file__).parent.glob("**/*.[cy][sm][vl]"))  # its tables and words
    return digest(cells, influential, code, data, _files_read(injected), versions(), *files)


def _files_read(injected: Mapping[str, Any]) -> list[str]:
    """Digests of a drying run, and of the micrographs to be predicted that are there."""
    from fesemlib.micrographs.files import image_files

    files = (
        [Path(file) for file in image_files([injected["image"]])] if injected.get("image") else []
    )
    for run in filter(None, [injected.get("drying_run")]):
        files += sorted(Path(run).iterdir()) if Path(run).is_dir() else [Path(run)]
    return [digest(file) for file in files if file.is_file()]


def _is_current(profile: Profile, notebook: Path, determined_by: str) -> bool:
    """Whether the executed notebook, and all it saved, is there and up to date."""
    stamp = Stamp.read(profile.stamp(notebook))
    return (
        stamp is not None
        and stamp.digest == determined_by
        and profile.executed(notebook).is_file()
        and all((profile.results / name).is_file() for name in stamp.saved)
    )


def _states(folder: Path) -> set[tuple[str, int, int]]:
    """Name, time and size of every file in a folder."""
    return {
        (path.relative_to(folder).as_posix(), path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _execute(notebook: Path, executed: Path, injected: Mapping[str, Any]) -> None:
    """Execute one notebook; `executed` appears only when every cell has succeeded."""
    import papermill

    # An interrupted kernel's last words would be reported as a task that nobody awaited.
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    partial = executed.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    log = executed.with_suffix(".log")
    whereabouts = (
        f"The notebook up to there: {partial}\n"
        "Everything finished before it will be reused by the next `fesem book`."
    )
    for attempt in range(_STARTS):
        try:
            with log.open("w", encoding="utf-8") as stream:
                papermill.execute_notebook(
                    str(notebook),
                    str(partial),
                    dict(injected),
                    kernel_name="python3",
                    kernel_manager_class=_kernels_of_this_interpreter(stream),
                    cwd=str(notebook.parent),
                    progress_bar=False,
                    request_save_on_cell_execute=True,
                )
            break
        except papermill.PapermillExecutionError as error:
            text = f"{notebook.name}: {_failed_cell(error)}\n\n{whereabouts}"
            raise CommandError(text) from error
        except RuntimeError as error:
            if attempt + 1 < _STARTS and _PORT_TAKEN in log.read_text("utf-8", "replace"):
                continue
            raise CommandError(
                f"{notebook.name}: the kernel has stopped: {error}; perhaps memory ran out (a "
                f"smaller `input_width` or `parallel_jobs` needs less). Its last words: {log}\n"
                f"{whereabouts}"
            ) from error
    partial.replace(executed)


def _kernels_of_this_interpreter(log: IO[str]) -> type[AsyncKernelManager]:
    """Kernels of the Python that runs this, whatever kernels the user has installed elsewhere.

    What a kernel says beside the notebook would disturb the terminal: `log` takes it.
    """

    class ThisInterpreter(AsyncKernelManager):
        # It ends its workers at once, then waits for their resource tracker, which no signal ends.
        shutdown_wait_time = 1.0

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            await super()._async_launch_kernel(kernel_cmd, stdout=log, stderr=log, **options)

    return ThisInterpreter


def _failed_cell(error: Any) -> str:
    """What the terminal shows of a failing cell."""
    if error.ename in _CLEAR_ERRORS:
        return str(error.evalue)
    trace = "\n".join(error.traceback)
    shown = trace if sys.stderr.isatty() else click.unstyle(trace)
    return f"cell [{error.exec_count}] failed\n\n{error.source}\n\n{shown}"
