"""The queue at work: rows of `Delivery` are claimed, posted and marked."""
