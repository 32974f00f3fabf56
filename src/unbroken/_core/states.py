"""The phases of a call, and what leads from one to the next.

A call is a row of attempts. It starts by ASKING: a request is to be sent. A response that is the
whole answer makes it COMPLETE; the start of a stream leads to READING. There it stays until the
message is complete (COMPLETE), more of it is to be asked for (ASKING), or something fails. A
failure, while asking or reading, leads to CHARGING, where the retry budget is asked for one more
attempt, then to WAITING and from there to ASKING again, with the same request or a continuation.
Where a bound is reached or there is nothing to ask for, the call is LOST; but it is COMPLETE if the
model had ended its answer, and only more of it was asked for. A call whose targets all
cool down starts by WAITING.

What a journal holds of the answer is read as if it were a response. A call that is DEPOSED, because
another process took its answer over, asks the journal again.

Closing is no failure. In any phase it makes the call CLOSED: no further request is made.

The machine gets bytes, failures and the time. It has no sockets, threads or tasks: a driver turns
every way in which a request or a read can end into one of these inputs.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Input", "Phase", "after"]


class Phase(Enum):
    """What a call is doing."""

    ASKING = "asking"
    READING = "reading"
    CHARGING = "charging"
    WAITING = "waiting"
    COMPLETE = "complete"
    LOST = "lost"
    CLOSED = "closed"


class Input(Enum):
    """What can happen to a call."""

    STREAM_OPENED = "a response started that is a stream"
    ANSWERED = "a response came that is the whole answer"
    FINISHED = "the message is whole"
    EXTENDED = "the model ended the answer, and more of it is asked for"
    FAILED = "the attempt failed, and another one may follow"
    GAVE_UP = "no other attempt follows"
    CHARGED = "the retry budget allows another attempt"
    WAITED = "the wait is over"
    DEPOSED = "another process took the answer over"
    CLOSE = "the caller closed the stream, or cancelled the task"


TRANSITIONS = {
    Phase.ASKING: {
        Input.STREAM_OPENED: Phase.READING,
        Input.ANSWERED: Phase.COMPLETE,
        Input.FAILED: Phase.CHARGING,
        Input.FINISHED: Phase.COMPLETE,
        Input.GAVE_UP: Phase.LOST,
        Input.CLOSE: Phase.CLOSED,
    },
    Phase.READING: {
        Input.FINISHED: Phase.COMPLETE,
        Input.EXTENDED: Phase.ASKING,
        Input.FAILED: Phase.CHARGING,
        Input.GAVE_UP: Phase.LOST,
        Input.DEPOSED: Phase.ASKING,
        Input.CLOSE: Phase.CLOSED,
    },
    Phase.CHARGING: {
        Input.CHARGED: Phase.WAITING,
        Input.FINISHED: Phase.COMPLETE,
        Input.DEPOSED: Phase.ASKING,
        Input.GAVE_UP: Phase.LOST,
        Input.CLOSE: Phase.CLOSED,
    },
    Phase.WAITING: {
        Input.WAITED: Phase.ASKING,
        Input.FINISHED: Phase.COMPLETE,
        Input.DEPOSED: Phase.ASKING,
        Input.GAVE_UP: Phase.LOST,
        Input.CLOSE: Phase.CLOSED,
    },
    Phase.COMPLETE: {Input.DEPOSED: Phase.ASKING, Input.CLOSE: Phase.COMPLETE},
    Phase.LOST: {Input.DEPOSED: Phase.ASKING, Input.CLOSE: Phase.LOST},
    Phase.CLOSED: {Input.CLOSE: Phase.CLOSED},
}


def after(phase: Phase, happened: Input) -> Phase:
    """The phase that an input leads to.

    Raises:
        RuntimeError: If it cannot happen in that phase: a bug in this library.
    """
    try:
        return TRANSITIONS[phase][happened]
    except KeyError:
        raise RuntimeError(f"unbroken: '{happened.value}' while {phase.value}") from None
