"""A writer's lease, and the slots at which it writes.

InfluxDB keeps the last write of a point. A write whose outcome is unknown (a time-out, a killed process) may land late
and put an old row over a new one. So every row is written at a slot, some nanoseconds after its time, and the highest
slot counts. A process takes the next slot, for all that it writes from there, when it takes the lease and after each
write that failed; it claims the slot in the store before it uses it.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import LeaseHeld, StorageRefused, StorageUnavailable
from storage.influxdb.client import Client, Row
from storage.influxdb.line_protocol import AFTER_ALL_LINES, string_field, tag
from storage.owner import LeaseOwner

# Slots go by tenths of a second since 2026-01-01, a thousand in each: a day's nanoseconds are enough for 270 years.
_SLOTS_BEGIN = 1_767_225_600
_SLOTS_A_SECOND = 10
_SLOT_STEP = 1_000
NO_SLOT = -1
_RELEASED = "released"
# Seconds between two heartbeats.
_HEARTBEAT_SECONDS = 1.0
# A holder that has not been heard of for so long is dead.
_SILENT_SECONDS = 10.0
_LOOK_SECONDS = 0.5


class Lease:
    """That of one writer in one bucket."""

    def __init__(self, client: Client, bucket: str, writer: str) -> None:
        self._client = client
        self._bucket = bucket
        self._writer = writer
        self._tag = tag(writer)
        self.slot: int | None = None
        """The one to write at; None where it must be a new one."""
        self._claimed = NO_SLOT
        """The latest slot that this process has claimed."""
        self._holder = str(LeaseOwner.this_process())
        self._beating: threading.Thread | None = None
        self._released = threading.Event()

    def wait(self) -> None:
        """Wait until no other process is alive that has it; LeaseHeld where one is. Then `begin`."""
        rows = self._leases()
        if not rows:
            return
        first_beat, _, text = rows[0].partition(" ")
        holder = LeaseOwner.decode(text)
        deadline = time.monotonic() + _SILENT_SECONDS
        beat = first_beat
        while beat != _RELEASED and text != self._holder and not holder.is_certainly_dead():
            if beat != first_beat:
                raise LeaseHeld(f"This store is written by {holder.named()}: only one can.")
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_SECONDS)
            beat = self._leases()[0].partition(" ")[0]

    def begin(self) -> int:
        """Claim a slot above all others, and keep the lease from here on."""
        # By the clock: the claim of a process that died meanwhile may land after ours, and must be lower.
        now = int((time.time() - _SLOTS_BEGIN) * _SLOTS_A_SECOND) * _SLOT_STEP
        slot = self._claim(max(now, self._latest_intent(), self._latest_claim()[0]))
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beating.start()
        return slot

    def check(self) -> int:
        """The latest slot, which is ours. LeaseHeld where another process has taken over, StorageRefused where the
        store no longer has our claim."""
        slot, holder = self._latest_claim()
        if slot < self._claimed:
            raise StorageRefused("This store was emptied or put back while it was written: start again.")
        if holder != self._holder:
            raise self._taken_over(holder)
        return slot

    @contextmanager
    def writing(self) -> Iterator[int]:
        """The slot to write at. Unless all of it succeeds its outcome is unknown, and what follows takes another
        slot."""
        slot = self.slot if self.slot is not None else self._claim_again()
        self.slot = None
        yield slot
        self.slot = slot

    def claims(self) -> set[int]:
        """All slots that were claimed in this store."""
        return {int(row["slot"]) for row in self._ask("SELECT slot FROM tokens WHERE writer = $writer")}

    def release(self) -> None:
        """Let another process have it at once."""
        self._released.set()
        if self._beating is not None:
            # A heartbeat after the release would take it back.
            self._beating.join()
        claim, self._claimed = (self._claimed, self._holder), NO_SLOT
        if claim[0] != NO_SLOT and self._latest_claim() == claim:
            self._client.write(self._bucket, self._lease_line(_RELEASED))

    def _leases(self) -> list[str]:
        return [row["row"] for row in self._ask("SELECT row FROM leases WHERE writer = $writer")]

    def _claim_again(self) -> int:
        """Another slot of this process, which still has the lease.

        It may be stopped at any moment and be taken over. Then the slot has to be lower than its successor's: what it
        has in memory is old. So it does not go by the clock, and the claims are looked at once more.
        """
        latest_intent = self._latest_intent()
        slot = self._claim(max(latest_intent, self.check()))
        for _, holder in self._latest_claims(2):
            if holder != self._holder:
                self.slot = None
                raise self._taken_over(holder)
        return slot

    def _claim(self, above: int) -> int:
        """Take a slot higher than another one, durably before it is used. Two processes that claim at the same moment
        take different ones, and the lower one finds out by its next check."""
        slot = (above // _SLOT_STEP + 1) * _SLOT_STEP + random.randrange(_SLOT_STEP)
        # A point a slot, so that no late write can take a claim back.
        claim = f"tokens,writer={self._tag} slot={slot}i,holder={string_field(self._holder)} {AFTER_ALL_LINES + slot}"
        self._client.write(self._bucket, b"\n".join([claim.encode(), self._lease_line(time.time_ns())]))
        self.slot = self._claimed = slot
        return slot

    def _latest_intent(self) -> int:
        """The slot of the latest intent. The intents of a slot lie after it, one by one; those of the next one lie
        after all of them."""
        rows = self._ask("SELECT row FROM intents WHERE writer = $writer ORDER BY time DESC LIMIT 1")
        return rows[0]["time"] - AFTER_ALL_LINES if rows else NO_SLOT

    def _lease_line(self, beat: int | str) -> bytes:
        """Who has it, with a number that changes while it is alive, or that it was released."""
        row = string_field(f"{beat} {self._holder}")
        return f"leases,writer={self._tag} row={row} {AFTER_ALL_LINES}".encode()

    def _latest_claim(self) -> tuple[int, str]:
        """The highest slot that was claimed, and by whom."""
        claims = self._latest_claims(1)
        return claims[0] if claims else (NO_SLOT, "")

    def _latest_claims(self, most: int) -> list[tuple[int, str]]:
        """So many of the highest ones, the highest first."""
        query = f"SELECT slot, holder FROM tokens WHERE writer = $writer ORDER BY time DESC LIMIT {most}"
        return [(int(row["slot"]), row["holder"]) for row in self._ask(query)]

    def _taken_over(self, holder: str) -> LeaseHeld:
        return LeaseHeld(f"{LeaseOwner.decode(holder).named()} has taken over writing to this store.")

    def _ask(self, query: str, **parameters: int) -> list[Row]:
        return self._client.ask(self._bucket, query, {"writer": self._tag, **parameters})

    def _beat(self) -> None:
        """Say every second that this process is alive, in a thread of its own: a commit may take many seconds."""
        while not self._released.wait(_HEARTBEAT_SECONDS):
            try:
                self.check()
                self._client.write(self._bucket, self._lease_line(time.time_ns()))
            except StorageUnavailable:
                # Whoever writes finds the same, and says so. The store may be back at the next heartbeat.
                continue
            except (LeaseHeld, StorageRefused):
                # The next check finds the same, and ends the program.
                return
