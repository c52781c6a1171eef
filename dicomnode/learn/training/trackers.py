"""Others who hear of each epoch: TensorBoard and MLflow, where they are installed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dicomnode.errors import ModelError
from dicomnode.learn.training.checkpoint import Line

__all__ = ["Tell", "trackers"]

Tell = Callable[[str, Line], None]  #: which network, and what became of an epoch


@contextmanager
def trackers(names: Sequence[str], run: str, folder: Path) -> Iterator[Tell]:
    """Tells all that are named; TensorBoard's files are written in `folder`.

    Raises:
        ModelError: one is not installed, and what to install; or it takes nothing.
    """
    with ExitStack() as open_ones:
        tells = [open_ones.enter_context(_OPEN[name](run, folder)) for name in names]

        def tell(network: str, line: Line) -> None:
            for each in tells:
                each(network, line)

        yield tell


@contextmanager
def _tensorboard(run: str, folder: Path) -> Iterator[Tell]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise _absent("tensorboard") from error
    writer: Any = SummaryWriter(str(folder / "tensorboard" / run))

    def tell(network: str, line: Line) -> None:
        for name, value in _numbers(line).items():
            writer.add_scalar(f"{network}/{name}", value, line.epoch)

    try:
        yield tell
    finally:
        writer.close()


@contextmanager
def _mlflow(run: str, _folder: Path) -> Iterator[Tell]:
    """To wherever MLflow itself is told to write (MLFLOW_TRACKING_URI)."""
    try:
        import mlflow  # type: ignore[import-not-found,unused-ignore]
        from mlflow.exceptions import (  # type: ignore[import-not-found,unused-ignore]
            MlflowException,
        )
    except ImportError as error:
        raise _absent("mlflow") from error

    def tell(network: str, line: Line) -> None:
        numbers = {f"{network}/{name}": value for name, value in _numbers(line).items()}
        mlflow.log_metrics(numbers, step=line.epoch)

    try:
        with mlflow.start_run(run_name=run):
            yield tell
    except MlflowException as error:
        raise ModelError(f"track: mlflow does not take what it is told: {error}") from error


def _numbers(line: Line) -> dict[str, float]:
    score = {} if line.auroc is None else {"auroc": line.auroc}
    return {"loss": line.loss, "rate": line.rate, **score}


def _absent(name: str) -> ModelError:
    return ModelError(f"track: {name} is not installed; `pip install {name}`, or leave it out")


_OPEN = {"tensorboard": _tensorboard, "mlflow": _mlflow}
