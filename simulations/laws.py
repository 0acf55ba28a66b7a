"""The laws of the simulated endpoint, as scalar functions of integers and floats.

The reference calls them as they stand; the kernel compiles the very same functions. So
they keep to what Python and compiled code do alike: integers below 2**63, floor division,
`float(a) / float(b)` rather than `a / b` (Python rounds the quotient of two integers correctly,
compiled code converts first). They know of no request and no clock.
"""

from __future__ import annotations

import math

from simulations.ticks import TICKS_PER_S

MASK_32 = 0xFFFFFFFF

# What a counter-based draw is for; the word in the design is "purpose".
PURPOSE_JITTER = 1
PURPOSE_START_DELAY = 2

METRIC_IN_FLIGHT = 0
METRIC_OFFERED_TOKENS = 1


# --- one chunk: continuous batching --------------------------------------------------------


def triangle(tokens: int) -> int:
    """Return T(x) = x (x + 1) / 2, the pairs that attention looks at in a prompt of x tokens.

    >>> triangle(4)
    10
    """
    return tokens * (tokens + 1) // 2


def decode_ticks(first_ticks: int, growth_ticks: int, iterations: int) -> int:
    """Return how long some decode iterations in a row last.

    The first lasts `first_ticks`; each further one `growth_ticks` more, since every
    sequence has gained a token of context.

    >>> decode_ticks(100, 3, 4)  # 100 + 103 + 106 + 109
    418
    """
    return iterations * first_ticks + growth_ticks * (iterations * (iterations - 1) // 2)


def first_boundary(first_ticks: int, growth_ticks: int, elapsed_ticks: int) -> int:
    """Return the first iteration boundary at or after a time, counted from 1.

    The smallest k >= 1 with `decode_ticks(first, growth, k) >= elapsed`. A float root lands
    beside it and integer steps settle it, in either direction.

    >>> first_boundary(100, 3, 203), first_boundary(100, 3, 204)
    (2, 3)
    """
    if growth_ticks == 0:
        return max(1, (elapsed_ticks + first_ticks - 1) // first_ticks)
    slope = float(first_ticks) - 0.5 * float(growth_ticks)
    # The root in the form that does not cancel when growth is small beside the first term.
    root = math.sqrt(slope * slope + 2.0 * float(growth_ticks) * float(elapsed_ticks))
    k = max(1, int(2.0 * float(elapsed_ticks) / (slope + root)))
    while decode_ticks(first_ticks, growth_ticks, k) < elapsed_ticks:
        k += 1
    while k > 1 and decode_ticks(first_ticks, growth_ticks, k - 1) >= elapsed_ticks:
        k -= 1
    return k


# --- the autoscaler ------------------------------------------------------------------------


def carry_seconds(total_s: int, total_ticks: int) -> int:
    """Return the whole seconds of a total kept as a pair, after its ticks were added to.

    Totals over requests outgrow 64 bits when kept in ticks; as (seconds, ticks) they do not.

    >>> carry_seconds(7, 2 * TICKS_PER_S + 5)
    9
    """
    return total_s + total_ticks // TICKS_PER_S


def carry_ticks(total_ticks: int) -> int:
    """Return the ticks that are left when whole seconds were carried over.

    >>> carry_ticks(2 * TICKS_PER_S + 5)
    5
    """
    return total_ticks % TICKS_PER_S


def mean_metric(total_s: int, total_ticks: int, intervals: int, interval_ticks: int) -> float:
    """Return the mean over a window of the requests in flight, from their summed time in flight.

    Args:
        total_s, total_ticks: time in flight summed over requests, as a pair.
        intervals: decision intervals in the window, >= 1.
        interval_ticks: ticks of one interval, >= 1.

    >>> mean_metric(30, 0, 2, 5 * TICKS_PER_S)
    3.0
    """
    total = float(total_s) * float(TICKS_PER_S) + float(total_ticks)
    return total / (float(intervals) * float(interval_ticks))


def mean_rate(tokens: int, intervals: int, interval_ticks: int) -> float:
    """Return tokens per second over a window of whole decision intervals.

    >>> mean_rate(1000, 2, 5 * TICKS_PER_S)
    100.0
    """
    seconds = float(intervals) * float(interval_ticks) / float(TICKS_PER_S)
    return float(tokens) / seconds


def wanted_chunks(
    mean: float, target: float, tolerance: float, total: int, floor: int, ceiling: int
) -> int:
    """Return the chunks that the metric asks for, within [floor, ceiling].

    Within the tolerance of the target nothing is asked for. Source: Kubernetes HPA,
    `desired = ceil(current * metric / target)`, skipped if |ratio - 1| <= tolerance.

    >>> wanted_chunks(30.0, 8.0, 0.1, 2, 1, 10)
    4
    """
    wanted = total
    if total <= 0 or abs(mean / (target * float(total)) - 1.0) > tolerance:
        # A metric beyond any ceiling must not overflow the conversion to an integer.
        wanted = math.ceil(min(mean / target, float(ceiling)))
    return max(floor, min(wanted, ceiling))


def largest_step(chunks: int, fraction: float, total: int) -> int:
    """Return how many chunks one decision may start: so many, or a share of those there are.

    >>> largest_step(4, 1.0, 10), largest_step(4, 1.0, 2)
    (10, 4)
    """
    return max(chunks, int(fraction * float(total)))


def zero_floor(total: int, in_flight: int, idle_ticks: int, idle_to_zero_ticks: int) -> int:
    """Return the floor of an endpoint that may scale to zero: 1 while it is or just was in use.

    >>> zero_floor(1, 0, 10, 20), zero_floor(1, 0, 20, 20)
    (1, 0)
    """
    return 1 if total > 0 and (in_flight > 0 or idle_ticks < idle_to_zero_ticks) else 0


# --- clients, and draws that depend on nothing but their counters -----------------------------


def _mix(value: int) -> int:
    # Wellons' "lowbias32" finaliser; products are split so that they stay below 2**63.
    value ^= value >> 16
    value = (value * 0x352D + (((value * 0x7FEB) & 0xFFFF) << 16)) & MASK_32
    value ^= value >> 15
    value = (value * 0xA68B + (((value * 0x846C) & 0xFFFF) << 16)) & MASK_32
    return value ^ (value >> 16)


def draw(seed: int, purpose: int, index: int, attempt: int) -> float:
    """Return a number in [0, 1) that depends on its four counters and on nothing else.

    Nothing is stored and no event order matters, so both engines and every candidate see
    the same draws. Source: the mixer is github.com/skeeto/hash-prospector "lowbias32".

    Args:
        seed, purpose, index, attempt: whole numbers >= 0 (taken modulo 2**32).

    >>> draw(1, PURPOSE_JITTER, 7, 0) == draw(1, PURPOSE_JITTER, 7, 0)
    True
    """
    word = _mix((seed + 0x9E3779B9) & MASK_32)
    word = _mix((word + purpose * 0x85EBCA6B) & MASK_32)
    word = _mix(word ^ (index & MASK_32))
    word = _mix((word + attempt * 0x27D4EB2F) & MASK_32)
    return float(word) / 4294967296.0


def drawn_ticks(fraction: float, spread_ticks: int) -> int:
    """Return a share of a spread in whole ticks.

    >>> drawn_ticks(0.5, 9)
    4
    """
    return int(fraction * float(spread_ticks))


def backoff_wait(
    backoff_ticks: int, attempt: int, jitter_ticks: int, retry_after_ticks: int
) -> int:
    """Return how long a client waits before it tries again; Retry-After is obeyed exactly.

    Source: recorded from the openai client 3.54 (2026-11-22): Retry-After: 2 waits 2 s.

    >>> backoff_wait(40, 2, 3, 0), backoff_wait(40, 2, 3, 200)
    (163, 200)
    """
    if retry_after_ticks > 0:
        return retry_after_ticks
    return backoff_ticks * (1 << attempt) + jitter_ticks
