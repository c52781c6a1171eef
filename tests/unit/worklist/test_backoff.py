import pytest

from dicomnode.worklist.queue import backoff_s


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (100, 300), (10**6, 300)]
)
def test_waits_between_half_and_the_whole_of_a_time_that_doubles(
    attempt: int, longest: float
) -> None:
    waits = [backoff_s(attempt, first_s=5, longest_s=300) for _ in range(200)]

    assert min(waits) >= longest / 2
    assert max(waits) <= longest


def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    waits = {backoff_s(3, first_s=5, longest_s=300) for _ in range(50)}

    assert len(waits) > 40
