import pytest

from dicomnode.web.login.tries import Tries


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tries(clock: Clock) -> Tries:
    return Tries(clock)


def wrong(tries: Tries, clock: Clock, count: int, name: str = "ada", address: str = "a") -> float:
    """So many wrong passwords, each after its wait; the last wait."""
    wait = 0.0
    for _ in range(count):
        wait = tries.begin(name, address)
        clock.now += wait
        if wait:
            assert tries.begin(name, address) == 0
    return wait


def test_five_are_free_then_each_wait_is_twice_the_last_up_to_a_quarter_of_an_hour(
    tries: Tries, clock: Clock
) -> None:
    waits = [wrong(tries, clock, 1) for _ in range(14)]

    assert waits == [0] * 5 + [5, 10, 20, 40, 80, 160, 320, 640, 900]


def test_tries_at_once_count_before_any_of_them_is_answered(tries: Tries) -> None:
    assert [tries.begin("ada", "a") > 0 for _ in range(7)] == [False] * 5 + [True] * 2


def test_who_waits_in_vain_waits_no_longer_for_it(tries: Tries, clock: Clock) -> None:
    wrong(tries, clock, 5)
    for _ in range(100):
        assert tries.begin("ada", "a") == 5


def test_a_right_password_makes_the_name_free_again(tries: Tries, clock: Clock) -> None:
    wrong(tries, clock, 4)
    tries.begin("ada", "a")
    tries.right("ada", "a")
    assert [tries.begin("ada", "a") for _ in range(5)] == [0] * 5


def test_an_address_that_tries_many_names_waits_and_its_own_logins_do_not_help(
    tries: Tries, clock: Clock
) -> None:
    for number in range(20):
        assert tries.begin(f"name{number}", "a") == 0
        if tries.begin("own", "a") == 0:
            tries.right("own", "a")

    assert tries.begin("another", "a") > 0
    assert tries.begin("another", "b") == 0


def test_strangers_who_guess_do_not_keep_a_person_out(tries: Tries) -> None:
    tries.begin("ada", "home")
    tries.right("ada", "home")
    for number in range(6):
        tries.begin("ada", f"elsewhere{number}")

    assert tries.begin("ada", "elsewhere") > 0
    assert tries.begin("ada", "home") == 0


def test_addresses_of_one_network_of_ipv6_are_one(tries: Tries) -> None:
    waits = [tries.begin(f"name{each}", f"2001:db8::{each:x}") for each in range(21)]

    assert waits[:20] == [0] * 20
    assert waits[20] > 0


def test_after_an_hour_all_is_forgotten(tries: Tries, clock: Clock) -> None:
    wrong(tries, clock, 6)
    clock.now += 3601
    assert wrong(tries, clock, 5) == 0


def test_what_is_remembered_is_bounded(tries: Tries) -> None:
    for number in range(20_000):
        tries.begin(f"name{number}", f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")

    assert len(tries._counts) == 10_000
