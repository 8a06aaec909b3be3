"""The way from the full cost to the budget."""

from hypothesis import given
from hypothesis import strategies as st

from l0.networks.budgets.ramp import Ramp


@given(total=st.none() | st.integers(1, 10**6), step=st.integers(0, 10**6))
def test_the_way_rises_from_0_to_1_and_the_price_asks_for_more_than_must_be_kept(total, step):
    ramp = Ramp(total)
    assert ramp.asked(0) == ramp.kept(0) == 0
    assert ramp.kept(ramp.met) == ramp.asked(ramp.met) == 1
    assert ramp.asked(step) <= ramp.asked(step + 1) <= 1
    assert ramp.kept(step) <= ramp.kept(step + 1) <= 1
    assert ramp.kept(step) <= ramp.asked(step)
    assert ramp.pace(step) > 0


@given(total=st.integers(2, 10**6))
def test_two_fifths_of_the_steps_are_left_to_repair_the_damage(total):
    assert Ramp(total).met <= 0.6 * total + 0.5


@given(total=st.none() | st.integers(1, 10**5))
def test_the_units_are_looked_at_often_but_not_at_each_step_of_a_long_run(total):
    ramp = Ramp(total)
    looks = sum(ramp.looks(step) for step in range(1, ramp.met + 1))
    assert min(ramp.met, 50) <= looks <= 250


def test_an_open_ended_way_goes_the_same_distance_in_each_doubling_of_the_steps():
    ramp = Ramp(None)
    first, second = (ramp.asked(2 * n) - ramp.asked(n) for n in (35, 70))
    assert abs(first - second) < 0.03


def test_the_longer_a_run_the_more_do_units_pay_that_need_not_go():
    shares = [Ramp(n).others_pay for n in (1, 500, 1_000, 1_200, 1_500, 2_000, 100_000)]
    assert shares[:3] == [0, 0, 0]
    assert shares[-2:] == [1, 1]
    assert shares == sorted(shares)
    assert Ramp(None).others_pay == 0


def test_the_longer_a_run_the_more_of_their_values_do_gates_keep():
    kept = [Ramp(n).left for n in (1, 1_000, 3_000, 4_000, 6_000, 8_000, 100_000)]
    assert kept[:3] == [0, 0, 0]
    assert kept[-2:] == [1, 1]
    assert kept == sorted(kept)
    assert Ramp(None).left == 0
