"""Scopes: what a caller may see."""

from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, unquote

ScopeKind = Literal["operator", "metrics", "customer"]

MAX_CUSTOMERS = 1_000
"""Customers of one scope."""
FORMS = "operator, metrics, or customer:ID, with further ids after commas"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see. As text: `operator`, `metrics`, or `customer:` and percent-encoded ids with commas."""

    kind: ScopeKind
    customers: frozenset[str] = frozenset()
    """The customers of kind `customer`; of the other kinds none."""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that a text names; ValueError for any other text."""
        kind, colon, ids = text.partition(":")
        if kind != "customer" and kind in get_args(ScopeKind) and not colon:
            return cls(kind)  # type: ignore[arg-type]
        customers = frozenset(unquote(customer, errors="strict") for customer in ids.split(","))
        if kind != "customer" or "" in customers or len(customers) > MAX_CUSTOMERS:
            raise ValueError(f"{text} is not a scope: allowed are {FORMS}")
        return cls("customer", customers)

    def __str__(self) -> str:
        ids = ",".join(quote(customer, safe="") for customer in sorted(self.customers))
        return f"{self.kind}:{ids}" if self.customers else self.kind

    def sees(self, customer: str | None) -> bool:
        """Whether the caller may see a customer, or all customers together (None)."""
        return self.kind == "operator" or (customer is not None and customer in self.customers)

    def sees_metrics(self) -> bool:
        """Whether the caller may see the metrics of the services."""
        return self.kind != "customer"


OPERATOR = Scope("operator")
