"""The request in the form that the user's tooling wants: one small writer a format. Nothing is sent from here."""

from planner.endpoint.emit.formats import FORMATS, emit
from planner.endpoint.emit.order import Order, from_plan, from_wish

__all__ = ["FORMATS", "Order", "emit", "from_plan", "from_wish"]
