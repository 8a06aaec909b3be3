"""The stages of a run, and the loops within them: computed, or taken from a checkpoint.

A stage is a function of what the stages before it gave. It may change two things besides: the
generator of random numbers, and the history of the run. So the result of a stage, with these two,
is all that a run needs to go on after it, and a state of a loop, with these two, all that it needs
to go on within it. What is lost is computed again, to the same bits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from l0.calibration.checkpoints.folder import Folder, NoFolder
from l0.calibration.checkpoints.packing import Packed, packed, unpacked

logger = logging.getLogger(__name__)

#: A loop keeps its state after so many seconds, and after so many times what the last one took.
EVERY, PATIENCE = 30.0, 20.0
#: So many states of loops are kept, in case that the last one is damaged.
STATES = 2

Result = TypeVar("Result")
State = TypeVar("State")


class Changing(Protocol):
    """What a run changes as it goes: its history."""

    def __len__(self) -> int:
        """Count what there is so far."""
        ...

    def since(self, start: int) -> Any:
        """Give all that came after `start`, as a dataclass."""
        ...

    def continue_from(self, start: int, part: Any) -> None:
        """Put a part in the place of all that came after `start`."""
        ...


class Stages:
    """Compute the stages of a run. Nothing is kept.

    Attributes
    ----------
    notes : list of str
        What the reader of the result should know.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def once(self, stage: str, kind: type[Result], compute: Callable[[], Result]) -> Result:
        """Give the result of a stage.

        Parameters
        ----------
        stage : str
            Its name, in small letters.
        kind : type
            The dataclass of the result.
        compute : callable
            Computes the result.
        """
        return compute()

    def resumed(self, start: State) -> State:
        """Give the state in which a loop starts: `start`, or a later one of the same dataclass."""
        return start

    def keep(self, state: object) -> None:
        """Keep the state of the loop that began last, if it is time to do so.

        Parameters
        ----------
        state : dataclass
            The loop could start from it.
        """


class KeptStages(Stages):
    """Compute the stages of a run that a folder does not have, and keep what they give.

    Parameters
    ----------
    folder : Folder
    generator : numpy.random.Generator
    history : Changing
        The stages use both.
    """

    def __init__(self, folder: Folder, generator: np.random.Generator, history: Changing) -> None:
        super().__init__()
        self._folder = folder
        self._generator, self._history = generator, history
        self._stage, self._loop, self._begun = "", 0, len(history)
        self._open = True
        self._kept_at, self._pause = time.perf_counter(), EVERY

    def close(self) -> None:
        """End the run. Stages that come later are computed, and not kept."""
        self._open = False
        self._folder.close()

    def once(self, stage: str, kind: type[Result], compute: Callable[[], Result]) -> Result:
        """See `Stages.once`."""
        if not self._open:
            return compute()
        self._stage, self._loop, self._begun = stage, 0, len(self._history)
        found = self._found(kind)
        if found is None:
            found = compute()
            self._write(0, found)
        for entry in self._folder.entries(stage):
            if entry.loop:
                self._folder.remove(entry)
        return found

    def resumed(self, start: State) -> State:
        """See `Stages.resumed`."""
        if not self._open:
            return start
        self._loop += 1
        found = self._found(type(start))
        return start if found is None else found

    def keep(self, state: object) -> None:
        """See `Stages.keep`."""
        if not self._open or time.perf_counter() - self._kept_at < self._pause:
            return
        self._write(self._loop, state)
        states = [entry for entry in self._folder.entries() if entry.loop]
        for entry in states[STATES:]:
            self._folder.remove(entry)

    def _found(self, kind: type[Result]) -> Result | None:
        """Find the last good entry of this place, and set the generator and the history to it."""
        for entry in self._folder.entries(self._stage, self._loop):
            content = self._folder.read(entry)
            try:
                if content is not None:
                    result = unpacked(kind, content.part("result"))
                    self._continue_from(content)
                    return result
            except (KeyError, TypeError, ValueError):
                pass
            self.tell(
                f"A file of the checkpoint is damaged, and was not used: {entry.path.name}. The "
                "run went on from what came before it"
            )
            self._folder.remove(entry)
        return None

    def _continue_from(self, content: Packed) -> None:
        kind = type(self._history.since(self._begun))
        self._history.continue_from(self._begun, unpacked(kind, content.part("history")))
        self._generator.bit_generator.state = content.plain["generator"]

    def _content(self, result: object) -> Packed:
        return packed(
            result=result,
            history=self._history.since(self._begun),
            generator=self._generator.bit_generator.state,
        )

    def _write(self, loop: int, result: object) -> None:
        started = time.perf_counter()
        try:
            self._folder.write(self._stage, loop, self._content(result))
        except OSError as error:
            # Hours of work are worth more than the checkpoint of what is left.
            self.tell(
                f"The checkpoint could not be written ({error.strerror or error}), and the run "
                "went on without it"
            )
            self._folder.close()
            self._folder = NoFolder()
        self._kept_at = time.perf_counter()
        self._pause = max(EVERY, PATIENCE * (self._kept_at - started))

    def tell(self, note: str) -> None:
        """Note something, and log it as a warning."""
        logger.warning("%s", note)
        self.notes.append(note)
