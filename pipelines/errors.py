"""The two ways to say no. Every message is a sentence for the person who can mend it.

No other exception is meant to reach a user; one that does is a bug.
"""


class MeetlatError(Exception):
    """Something that stops the whole command: a wrong setting, a failed check, a lock."""


class DeliveryRefused(Exception):
    """One delivery cannot be read as its contract says. The other deliveries go on."""
