"""The list of customers."""

from pydantic import Field

from api.schemas.figures import Figures
from api.schemas.listing import Customer, Range


class CustomerStatistics(Figures, Customer):
    """The statistics of one customer over the range."""


class CustomerList(Range):
    """One page of the customers that have requests in the range."""

    ROWS = "customers"
    total: int = Field(description="The number of customers on all pages.", examples=[50])
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last page.")
    customers: list[CustomerStatistics]
