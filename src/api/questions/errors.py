"""The requests of a customer that failed, by path and status."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.questions.question import FEW_CHARACTERS, CachedStore, RangeQuestion, computed, require_known
from api.schemas.paths import Errors, RequestsOfError
from api.utc import to_date
from rollups.counts import SUCCESS, RollupRow, logged_status
from rollups.groups import group_of, statuses_of_endpoints


@dataclass(frozen=True, slots=True)
class ErrorsQuestion(RangeQuestion):
    """Which paths failed with which statuses, how often, and when last?"""

    customer_id: str
    limit: int

    @property
    def is_of_rollups(self) -> bool:
        return True

    async def answer(self, store: CachedStore) -> Errors:
        days = self.dates.days
        group = group_of(self.customer_id)
        rows = await store.storage.rollups(group, ["endpoints"], days[0], days[-1]) if days else {}
        size = sum(row.size for of_day in rows.values() for row in of_day)
        is_known, answer = await computed(size <= FEW_CHARACTERS, lambda: self._of_rows(rows))
        if not is_known:
            await require_known(store.storage, self.customer_id)
        return answer

    def _of_rows(self, rows: Mapping[int, Sequence[RollupRow]]) -> tuple[bool, Errors]:
        """Whether the customer has requests, and the answer. `rows`: by day."""
        requests: Counter[tuple[str, int]] = Counter()
        latest: dict[tuple[str, int], int] = {}
        is_known = False
        for day in sorted(rows):
            of_day = statuses_of_endpoints(rows[day], self.customer_id)
            is_known |= bool(of_day)
            failed = {key: count for key, count in of_day.items() if key[1] not in SUCCESS}
            requests.update(failed)
            latest.update(dict.fromkeys(failed, day))
        most = sorted(requests.items(), key=lambda item: (-item[1], item[0]))
        return is_known, Errors(
            **self.of_range(),
            total=len(most),
            errors=[
                RequestsOfError(
                    path=path, status=logged_status(status), requests=count, latest_date=to_date(latest[path, status])
                )
                for (path, status), count in most[: self.limit]
            ],
        )
