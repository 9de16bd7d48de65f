"""At which steps a run is recorded: at all of them, or, where a record costs more than a step, at some.

A record (the loss of all rows, the gap, the norms) is O(p²) and five times a mini-batch's step of few features. So on mini-batches
the first steps are recorded and then every so many, at least twenty an epoch, with the last of each epoch and of the budget. The
steps recorded are a function of the step alone: a resumed run has the same ones. The criteria decide by them whether monitors see
the steps between or not: to watch a run does not change it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_STEPS = 10  # all recorded: what diverges does so at once
DISTANCES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)  # of records; a thinned history still meets them
DISTANCE = 100  # then a record costs a twentieth of the steps between
RECORDS_AN_EPOCH = 20  # at least: the mean of an epoch is compared, no single step


@dataclass(frozen=True, slots=True)
class Cadence:
    """distance: of the steps recorded.  epoch: steps of one.  ends: further steps recorded: those at which a budget may end."""

    distance: int = 1
    epoch: int = 1
    ends: tuple[int, ...] = ()

    def __call__(self, step: int) -> bool:
        """Whether a step is recorded."""
        distance = self.distance
        return step % distance == 0 or step < FIRST_STEPS or (step + 1) % self.epoch == 0 or step in self.ends

    def next(self, step: int) -> int:
        """The first recorded step from this one on."""
        if self(step):
            return step
        ahead = [-(-step // self.distance) * self.distance, (step // self.epoch + 1) * self.epoch - 1]
        return min(ahead + [end for end in self.ends if end > step])

    def ending(self, *steps: int | None) -> Cadence:
        """The same, and the steps at which a budget ends."""
        return replace(self, ends=tuple(step for step in steps if step is not None))


EVERY_STEP = Cadence()


def batch_cadence(features: int, batch: int, epoch: int) -> Cadence:
    """Of mini-batches whose loss is known from the moments, O(p²) against O(B·p)."""
    wanted = max(DISTANCE, 10 * features // batch)
    allowed = [distance for distance in DISTANCES if distance <= min(wanted, epoch // RECORDS_AN_EPOCH)]
    return Cadence(max(allowed, default=1), epoch)
