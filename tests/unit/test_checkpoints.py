"""Which checkpoints a history has: they say all of it, each part a few times, and none grows with it."""

from lakepart.engine.manifests import due_checkpoint

EVERY = 1000


def test_checkpoints_carry_as_a_counter_up_to_four_thousand_snapshots():
    due = [due_checkpoint(number, EVERY) for number in range(1, 12_001)]

    spans = [(span.first, span.last) for span in due if span is not None]
    assert spans == [
        (1, 1000),
        (1, 2000),
        (2001, 3000),
        (1, 4000),
        (4001, 5000),
        (4001, 6000),
        (6001, 7000),
        (4001, 8000),
        (8001, 9000),
        (8001, 10_000),
        (10_001, 11_000),
        (8001, 12_000),
    ]


def test_the_longest_from_each_end_on_lead_to_the_newest_in_a_bounded_number_of_steps():
    newest = 100_000
    longest = {}
    for number in range(EVERY, newest + 1, EVERY):
        span = due_checkpoint(number, EVERY)
        longest[span.first] = max(longest.get(span.first, 0), span.last)

    reached = 0
    steps = 0
    while reached < newest:
        steps += 1
        reached = longest[reached + 1]

    assert steps == 25
