"""What goes when not everything can stay: lowest rank first, and of a rank the oldest."""

from collections.abc import Collection, Sequence

from edge.spool.losses import Lost
from edge.spool.record import KEPT, Record
from edge.spool.store import Store

__all__ = ["evict"]

_BATCH = 256


def evict(store: Store, need: int, new: Sequence[Record], flight: Collection[int], victims: set[int]) -> list[Lost]:
    """Frees `need` bytes on the disk or among what is about to be written, never what is under way.

    The rows chosen are added to `victims`; what was kept only for replay goes without being told.
    """
    lost: list[Lost] = []
    for rank in range(-KEPT, KEPT):
        while need > 0 and store.rows.get(rank):
            chosen = []
            for row, seq, size, _born_s in store.oldest(rank, _BATCH):
                if need <= 0 or row in flight:
                    continue
                chosen.append(row)
                need -= size
                if rank >= 0:
                    lost.append((rank, "full", seq))
            if not chosen:
                break
            store.delete(chosen)
            victims.update(chosen)
        for record in new:
            if need > 0 and record.rank == rank and record.row not in flight:
                victims.add(record.row)
                need -= record.size
                lost.append((rank, "full", record.seq))
    return lost
