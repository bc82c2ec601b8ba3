"""Pages: the one state that FiftyOne's server shares among all its visitors -> none.

FiftyOne moves every open page to what was done on one, and shows a new page what the last one saw: one broken view
would block all later visits. Here a page begins with what its address says, and moves no other.
"""

from collections import defaultdict
from typing import Any

from fiftyone.core.state import StateDescription
from fiftyone.server.events import dispatch, initialize, state


def part_pages() -> None:
    """Part the pages of FiftyOne's server, in this process, for good."""
    began = initialize.initialize_listener_sync

    def begin(payload: Any) -> Any:
        state.set_state(StateDescription())
        return began(payload)

    initialize.initialize_listener_sync = begin
    assert dispatch.get_listeners is state.get_listeners  # or events would reach other pages by another way
    dispatch.get_listeners = lambda: defaultdict(set)
