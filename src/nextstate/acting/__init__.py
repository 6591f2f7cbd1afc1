"""Getting things done: tasks with goals, ways to act on them, and honest rates of success.

Data flows one way: `tasks` draws starts and goals from held-out episodes, `ways` makes an actor for each task,
`trials` lets it act in the world, `rates` says what the outcomes mean.
"""

from nextstate.acting.rates import Rate, difference
from nextstate.acting.tasks import Task, make_tasks
from nextstate.acting.trials import Trial, attempt

__all__ = ["Rate", "Task", "Trial", "attempt", "difference", "make_tasks"]
