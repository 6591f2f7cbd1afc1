"""Shows the chain of thought behind one decision, for commands in which something plans in branches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from nextstate.evaluation.readout import Readout
    from nextstate.imagination.thoughts import ThoughtTree
    from nextstate.models.protocol import Beliefs, WorldModel
    from nextstate.worlds import Snapshot, World


def show_thoughts(
    tree: ThoughtTree,
    belief: Beliefs,
    snapshot: Snapshot,
    world: World,
    model: WorldModel,
    readout: Readout | None,
    title: str,
    page_path: Path,
) -> None:
    """Writes the tree as film strips to `page_path`, and the same as JSON beside it.

    Args:
        belief, snapshot: of the instant at which was decided; from the snapshot comes what really happens.
        readout: reads events out of imagined states; the simulator tells them itself.
    """
    import numpy as np

    from nextstate.data.storage import write_bytes, write_json
    from nextstate.imagination.thoughts import illustrate
    from nextstate.reports.thoughts import as_json, page

    names = [name for name in model.spec.modalities if name in world.modalities]
    told = getattr(model, "told", None)

    def events(span: Beliefs, states: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        if told is not None:
            found = told(span).events
        else:
            assert readout is not None
            found = readout({n: states[n] for n in readout.spec}).events
        return {name: found[..., i] for i, name in enumerate(world.events)}

    illustrate(tree, model, belief, names, events if readout is not None or told is not None else None)
    line = [thought.commands for thought in tree.chosen]
    truth = None
    if line:
        branches = world.branch(snapshot, np.concatenate(line)[None], names)
        truth = {name: values[0] for name, values in branches.states.items()}
    write_bytes(page_path, page(tree, truth, world.state_spec, title, model.spec.name).encode())
    write_json(page_path.with_suffix(".json"), as_json(tree, truth, world.state_spec))
    print(f"{page_path}: {len(tree.thoughts) - 1} thoughts")
