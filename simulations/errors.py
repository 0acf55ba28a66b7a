"""Everything that can go wrong here, as one tree, and nothing else.

    PtplanError                     one line: what, which value, where, how to fix
    |-- InputError(ValueError)      what the user gave cannot be used             exit 1
    |   |-- TraceError              a file or a row of traffic
    |   |-- CapacityError           a range or a number of units
    |   |-- ScenarioError           a number of the simulated endpoint
    |   |-- CatalogueError          a model, a price, a service
    |   |-- MeasurementError        a file of measurements, or what can be told from it
    |   `-- ObjectiveError          a promise
    |-- Infeasible                  no range keeps the promise                    exit 3
    |-- WorkspaceError              the workspace, or the way to it, failed       exit 1
    |-- Refused                     what was not reviewed, or is unsafe           exit 4
    `-- Stopped                     interrupted; the text says how to go on       exit 130

Each also subclasses the builtin that a caller would expect, so `except ValueError` works.
"""


class PtplanError(Exception):
    """A failure that a user can understand and mend; its text is one line."""

    exit_code = 1


class InputError(PtplanError, ValueError):
    """What the user gave cannot be used; nothing was written."""


class TraceError(InputError):
    """A file or a row of traffic cannot be read as requests."""


class CapacityError(InputError):
    """A range or a number of units that cannot be bought."""


class ScenarioError(InputError):
    """A number of the simulated endpoint is out of its range."""


class CatalogueError(InputError):
    """A model, a price or a service that the catalogue does not hold, or refuses."""


class MeasurementError(InputError):
    """A measurement cannot be read, or does not tell what is asked of it."""


class ObjectiveError(InputError):
    """A promise that cannot be judged."""


class Infeasible(PtplanError):
    """No range keeps the promise; what came nearest is written all the same."""

    exit_code = 3


class WorkspaceError(PtplanError):
    """The workspace refused, failed, or could not be reached; what was sent before stands in the receipt."""


class Refused(PtplanError):
    """Nothing is sent that was not reviewed or that a safety rule forbids."""

    exit_code = 4


class Stopped(PtplanError):
    """Interrupted half-way; what was done stands in a file, and the text says how to go on."""

    exit_code = 130
