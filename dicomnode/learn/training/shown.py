"""How far a run is, for a person: a line for each epoch, and bars on a terminal.

In a log, where no bar can be drawn, there is a line when something begins, and one now and then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.lesson import Watch
from dicomnode.learn.training.start import Moved
from dicomnode.learn.training.trackers import Tell

__all__ = ["Shown"]

_NAMED = 4  #: tensors that are named
_EVERY_S = 30.0  #: between the lines of a log, at least


class Shown:
    """Tells a console, and whoever else wants to hear of epochs."""

    def __init__(
        self,
        console: Console,
        tell: Tell = lambda _name, _line: None,
        *,
        every_s: float = _EVERY_S,
    ) -> None:
        self._console = console
        self._tell = tell
        self._every_s = every_s
        self._said_at = 0.0
        self._moved: Moved | None = None

    def moved(self, moved: Moved | None) -> None:
        """What was taken over from another model; said once, as it is the same for each network."""
        if moved is None or moved == self._moved:
            return
        self._moved = moved
        self.say(f"{moved.kept} tensors were taken over; {len(moved.made)} begin at random")
        if moved.made:
            more = ", ..." if len(moved.made) > _NAMED else ""
            self.say(f"  at random: {', '.join(moved.made[-_NAMED:])}{more}")

    def say(self, words: str) -> None:
        """A line of its own."""
        self._said_at = monotonic()
        self._console.print(words, markup=False, highlight=False)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """How far it is; call what it gives for each step."""
        steps = count(1)
        with self._progress(what, total) as done:
            yield lambda: done(next(steps))

    @contextmanager
    def watching(self, name: str, epochs: int) -> Iterator[Watch]:
        """How far the epochs of one network are, and a line for each."""
        with self._progress(name, epochs) as done:

            def told(line: Line) -> None:
                score = "" if line.auroc is None else f", AUROC {line.auroc:.4f}"
                words = (
                    f"{name}: epoch {line.epoch}, loss {line.loss:.4f}{score}, {line.seconds:.1f} s"
                )
                self.say(words)
                done(line.epoch)
                self._tell(name, line)

            yield Watch(done, told)

    @contextmanager
    def _progress(self, what: str, total: int) -> Iterator[Callable[[float], None]]:
        """Call what it gives with how much of it is done."""
        if not self._console.is_terminal:
            yield self._lines(what, total)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    def _lines(self, what: str, total: int) -> Callable[[float], None]:
        self.say(f"{what}: begins")

        def done(part: float) -> None:
            if monotonic() - self._said_at >= self._every_s:
                self.say(f"{what}: {part / total:.0%}")

        return done
