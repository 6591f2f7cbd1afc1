"""Progress bars with time left, for callables that report how many of how many are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a callable ``(done, total)`` that moves a bar; what was done at the first call does not count as speed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task: list[object] = []

        def report(done: int, total: int) -> None:
            if not task:
                task.append(progress.add_task(title, total=total, completed=done))
            progress.update(task[0], completed=done, total=total)  # type: ignore[arg-type]

        yield report


def one_bar_at_a_time(
    stack: ExitStack, bar: Callable[[str, str], object] = bar
) -> Callable[[str], Callable[[int, int], None]]:
    """Bars that close when the next one opens, from what each is about."""

    def show(what: str) -> Callable[[int, int], None]:
        stack.pop_all().close()
        opened: Callable[[int, int], None] = stack.enter_context(bar(what, ""))  # type: ignore[arg-type]
        return opened

    return show
