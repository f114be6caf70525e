"""What the sandbox's account holds: two projects, their domains and recipients.

Every id is constant, so that settings and tests may name it. Domains end in ``.example``, which nobody can own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Project:
    id: str
    name: str
    domain: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Domain:
    domain: str
    verified: bool
    managed: bool = False


@dataclass(frozen=True, kw_only=True)
class Tag:
    id: str
    project_id: str
    name: str
    description: str
    color: str
    subscribers: int


@dataclass(frozen=True, kw_only=True)
class Segment:
    id: str
    project_id: str
    name: str
    description: str
    contacts: int


# Ids of every kind look like 24 hex digits in Migma's SDK; documented as a pattern only for emails and
# conversations.
FERNHILL = "665f1c2ab7d3e4f5a6a70001"
LUMEN = "665f1c2ab7d3e4f5a6a70002"

WELCOME = "665f1c2ab7d3e4f5a6b70001"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
PASSWORD_RESET = "665f1c2ab7d3e4f5a6b70003"  # noqa: S105 - an id
LAYOUT = "665f1c2ab7d3e4f5a6b70004"
SERIES_1 = "665f1c2ab7d3e4f5a6b70005"
SERIES_2 = "665f1c2ab7d3e4f5a6b70006"

WELCOME_CONVERSATION = "665f1c2ab7d3e4f5a6c70001"
RECEIPT_CONVERSATION = "665f1c2ab7d3e4f5a6c70002"
PASSWORD_RESET_CONVERSATION = "665f1c2ab7d3e4f5a6c70003"  # noqa: S105 - an id
LAYOUT_CONVERSATION = "665f1c2ab7d3e4f5a6c70004"
SERIES_CONVERSATION = "665f1c2ab7d3e4f5a6c70005"
PROCESSING_CONVERSATION = "665f1c2ab7d3e4f5a6c70006"
FAILED_CONVERSATION = "665f1c2ab7d3e4f5a6c70007"

CUSTOMERS_TAG = "665f1c2ab7d3e4f5a6d70001"
NEWSLETTER_TAG = "665f1c2ab7d3e4f5a6d70002"
RIDERS_TAG = "665f1c2ab7d3e4f5a6d70003"
COFFEE_LOVERS = "665f1c2ab7d3e4f5a6e70001"
LAPSED_CUSTOMERS = "665f1c2ab7d3e4f5a6e70002"
COMMUTERS = "665f1c2ab7d3e4f5a6e70003"

PROJECTS = (
    Project(
        id=FERNHILL,
        name="Fernhill Coffee",
        domain="fernhill.example",
        description="A roastery that sends its beans by post.",
    ),
    Project(
        id=LUMEN,
        name="Lumen Bikes",
        domain="lumenbikes.example",
        description="Lights and repairs for people who cycle to work.",
    ),
)
DOMAINS = (
    Domain(domain="fernhill.example", verified=True),
    Domain(domain="lumenbikes.example", verified=False),
    Domain(domain="fernhill.migma.email", verified=True, managed=True),
)
TAGS = (
    Tag(
        id=CUSTOMERS_TAG,
        project_id=FERNHILL,
        name="customers",
        description="Everybody who has ordered once",
        color="#7a4b2a",
        subscribers=1240,
    ),
    Tag(
        id=NEWSLETTER_TAG,
        project_id=FERNHILL,
        name="newsletter",
        description="Signed up on the website",
        color="#2f6b4f",
        subscribers=3875,
    ),
    Tag(
        id=RIDERS_TAG,
        project_id=LUMEN,
        name="riders",
        description="Bought a light",
        color="#1d4ed8",
        subscribers=310,
    ),
)
SEGMENTS = (
    Segment(
        id=COFFEE_LOVERS,
        project_id=FERNHILL,
        name="Coffee lovers",
        description="Ordered three times or more",
        contacts=412,
    ),
    Segment(
        id=LAPSED_CUSTOMERS,
        project_id=FERNHILL,
        name="Lapsed customers",
        description="No order for half a year",
        contacts=167,
    ),
    Segment(
        id=COMMUTERS,
        project_id=LUMEN,
        name="Commuters",
        description="Ride on weekdays",
        contacts=95,
    ),
)
PROJECTS_BY_ID = {project.id: project for project in PROJECTS}
