"""A writer's lease, and the fencing tokens with which it writes.

InfluxDB keeps the last write of a point. A write whose outcome is unknown (a time-out, a killed process) may land late
and put an old row over a new one. So a row's point lies as many nanoseconds after the row's own time as the fencing
token says, and of a row's points the one with the highest token counts. A process takes the next token when it acquires
the lease, and after each write that failed. It stores each token before it writes with it.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.damage import reading, say
from storage.errors import DamagedRow, LeaseHeld, StorageRefused, StorageUnavailable
from storage.influxdb.client import Client, Row
from storage.influxdb.line_protocol import AFTER_ALL_LINES, string_field, tag
from storage.owner import LeaseOwner

# Fencing tokens count tenths of a second since 2026-01-01, a thousand in each. They stay below the nanoseconds of a day
# for 270 years, so a daily row's point never lies on another day.
_TOKENS_BEGIN = 1_767_225_600
_TOKENS_A_SECOND = 10
_TOKEN_STEP = 1_000
NO_TOKEN = -1
_RELEASED = "released"
# Seconds between two heartbeats.
_HEARTBEAT_SECONDS = 1.0
# Seconds without a heartbeat after which the owner of a lease is taken for dead.
_SILENT_SECONDS = 10.0
# Seconds between two looks at another owner's heartbeat.
_POLL_SECONDS = 0.5


class Lease:
    def __init__(self, client: Client, bucket: str, writer: str) -> None:
        self._client = client
        self._bucket = bucket
        self._writer = writer
        self._tag = tag(writer)
        self.token: int | None = None
        """The fencing token for the next write; None where that takes a new one."""
        self._latest_own = NO_TOKEN
        """The latest fencing token that this process has taken."""
        self._owner = str(LeaseOwner.this_process())
        self._heartbeats: threading.Thread | None = None
        self._released = threading.Event()

    def wait_until_free(self) -> None:
        """Return when no other process is alive that owns the lease. Raises LeaseHeld where one is alive."""
        rows = self._lease_rows()
        if not rows:
            return
        first_heartbeat, _, text = rows[0].partition(" ")
        owner = _owner(text)
        deadline = time.monotonic() + _SILENT_SECONDS
        heartbeat = first_heartbeat
        while heartbeat != _RELEASED and text != self._owner and not owner.is_certainly_dead():
            if heartbeat != first_heartbeat:
                raise LeaseHeld(f"Writer {self._writer} of this store is written by {owner.named()}: only one can.")
            if time.monotonic() >= deadline:
                return
            time.sleep(_POLL_SECONDS)
            heartbeat = self._lease_rows()[0].partition(" ")[0]

    def acquire(self) -> int:
        """Take a fencing token above all others, which is returned, and keep the lease from here on."""
        # By the clock: a token of a process that died meanwhile may land after ours, and has to be lower.
        now = int((time.time() - _TOKENS_BEGIN) * _TOKENS_A_SECOND) * _TOKEN_STEP
        token = self._take_token(max(now, self._token_of_latest_intent(), self._latest_token()[0]))
        self._heartbeats = threading.Thread(target=self._send_heartbeats, name="heartbeat", daemon=True)
        self._heartbeats.start()
        return token

    def check(self) -> int:
        """The latest fencing token, which is ours.

        Raises LeaseHeld where another process has acquired the lease, StorageRefused where the store has lost our
        token.
        """
        token, owner = self._latest_token()
        if token < self._latest_own:
            raise StorageRefused("The store was emptied or restored while this process wrote to it: start again.")
        if owner != self._owner:
            raise self._lost(owner)
        return token

    @contextmanager
    def writing(self) -> Iterator[int]:
        """The fencing token of a write. The next write takes another one unless all of this one succeeds: its outcome
        is unknown then."""
        token = self.token if self.token is not None else self._take_another_token()
        self.token = None
        yield token
        self.token = token

    def tokens(self) -> set[int]:
        """All fencing tokens that were taken in this store."""
        return {int(row["token"]) for row in self._ask("SELECT token FROM tokens WHERE writer = $writer")}

    def release(self) -> None:
        """Let another process acquire the lease at once."""
        # A heartbeat after the release would take the lease back.
        self.stop_heartbeats()
        latest, self._latest_own = (self._latest_own, self._owner), NO_TOKEN
        if latest[0] != NO_TOKEN and self._latest_token() == latest:
            self._client.write(self._bucket, self._lease_line(_RELEASED))

    def stop_heartbeats(self) -> None:
        """Stop to say that this process is alive."""
        self._released.set()
        if self._heartbeats is not None:
            self._heartbeats.join()

    def _lease_rows(self) -> list[str]:
        return [row["row"] for row in self._ask("SELECT row FROM leases WHERE writer = $writer")]

    def _take_another_token(self) -> int:
        """Another fencing token of this process, which still owns the lease.

        This process may be paused at any moment and lose the lease. Its rows in memory are old then, so its token has
        to be lower than its successor's. So the token does not go by the clock, and the latest tokens are read once
        more after it is stored.
        """
        latest_intent = self._token_of_latest_intent()
        token = self._take_token(max(latest_intent, self.check()))
        for _, owner in self._latest_tokens(2):
            if owner != self._owner:
                self.token = None
                raise self._lost(owner)
        return token

    def _take_token(self, above: int) -> int:
        """Store a fencing token that is higher than another one. Two processes that take one at the same moment take
        different ones, and the process with the lower one finds out by its next check."""
        token = (above // _TOKEN_STEP + 1) * _TOKEN_STEP + random.randrange(_TOKEN_STEP)
        # Each token is a point of its own, so that no late write can replace it.
        line = f"tokens,writer={self._tag} token={token}i,owner={string_field(self._owner)} {AFTER_ALL_LINES + token}"
        self._client.write(self._bucket, b"\n".join([line.encode(), self._lease_line(time.time_ns())]))
        self.token = self._latest_own = token
        return token

    def _token_of_latest_intent(self) -> int:
        """The fencing token of the latest intent, or a little more: the intents of a token follow it, one by one, and
        all lie before the next token."""
        rows = self._ask("SELECT row FROM intents WHERE writer = $writer ORDER BY time DESC LIMIT 1")
        return rows[0]["time"] - AFTER_ALL_LINES if rows else NO_TOKEN

    def _lease_line(self, heartbeat: int | str) -> bytes:
        """The lease as a point: its owner, and a number that changes while the owner is alive, or `released`."""
        row = string_field(f"{heartbeat} {self._owner}")
        return f"leases,writer={self._tag} row={row} {AFTER_ALL_LINES}".encode()

    def _latest_token(self) -> tuple[int, str]:
        """The highest fencing token, and its owner."""
        tokens = self._latest_tokens(1)
        return tokens[0] if tokens else (NO_TOKEN, "")

    def _latest_tokens(self, most: int) -> list[tuple[int, str]]:
        """The highest fencing tokens with their owners, at most `most`, the highest first."""
        query = f"SELECT token, owner FROM tokens WHERE writer = $writer ORDER BY time DESC LIMIT {most}"
        return [(int(row["token"]), row["owner"]) for row in self._ask(query)]

    def _lost(self, owner: str) -> LeaseHeld:
        return LeaseHeld(f"{_owner(owner).named()} has taken over writing to this store.")

    def _ask(self, query: str, **parameters: int) -> list[Row]:
        return self._client.ask(self._bucket, query, {"writer": self._tag, **parameters})

    def _send_heartbeats(self) -> None:
        """Say every second that this process is alive, in a thread of its own: a commit may take many seconds."""
        while not self._released.wait(_HEARTBEAT_SECONDS):
            try:
                self.check()
                self._client.write(self._bucket, self._lease_line(time.time_ns()))
            except StorageUnavailable:
                # The next write finds the same, and says so. The store may be back at the next heartbeat.
                continue
            except (LeaseHeld, StorageRefused):
                # The next check finds the same, and ends the program.
                return


def _owner(text: str) -> LeaseOwner:
    """The owner that a row names. Where the row is damaged, an unknown process, which may be alive."""
    try:
        with reading("of the lease", text):
            return LeaseOwner.decode(text)
    except DamagedRow as error:
        say(str(error))
        return LeaseOwner("an unknown machine", 0, 0)
