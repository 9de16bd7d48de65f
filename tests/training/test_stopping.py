from __future__ import annotations

import pytest

from gradline.training.stopping import COEFFICIENT_TOLERANCE, GAP_TOLERANCE, Budget, Step, StopReason, stopping
from gradline.training.stopping import StopReason as R


def a_step(step=0, objective=1.0, **values):
    settings = {
        "validation": None, "parameter_norm": 0.0, "gradient_norm": 1.0, "update_norm": 0.0, "learning_rate": 0.1,
        "gap": 0.5, "relative_gap": 0.5, "coefficient_error": None, "at_rounding": False, "seconds": 0.0,
    }  # fmt: skip
    return Step(step=step, objective=objective, **(settings | values))


def rules(on="certificate", tolerance=1e-3, patience=3, max_steps=100, max_seconds=None):
    return stopping([on], tolerance, patience, Budget(max_steps, max_seconds))


def test_the_certificate_needs_the_gap_and_the_coefficients():
    near = {"relative_gap": GAP_TOLERANCE, "coefficient_error": COEFFICIENT_TOLERANCE}
    assert rules()(a_step(**near)) is StopReason.CERTIFIED
    assert rules()(a_step(**near | {"relative_gap": GAP_TOLERANCE * 1.01})) is None
    assert rules()(a_step(**near | {"coefficient_error": COEFFICIENT_TOLERANCE * 1.01})) is None
    assert rules()(a_step(**near | {"coefficient_error": None})) is None


def test_the_promised_tolerances_are_kept():
    assert GAP_TOLERANCE <= 1e-12
    assert COEFFICIENT_TOLERANCE <= 1e-9


def test_a_gradient_of_rounding_alone_is_the_end_within_the_gap_only():
    assert rules()(a_step(relative_gap=1e-13, coefficient_error=1.0, at_rounding=True)) is StopReason.ROUNDING
    assert rules()(a_step(relative_gap=1e-3, at_rounding=True)) is None


@pytest.mark.parametrize("objective", [float("nan"), float("inf"), 1.1e6])
def test_a_loss_that_grows_without_bound_has_diverged(objective):
    stop = rules()
    assert stop(a_step(0, 1.0)) is None
    assert stop(a_step(1, objective, gap=objective)) is StopReason.DIVERGED


def test_a_loss_that_rises_for_a_while_has_not_diverged():
    stop = rules()
    assert stop(a_step(0, 1.0)) is None
    assert stop(a_step(1, 9e5, gap=9e5)) is None


def test_a_start_below_the_minimum_of_others_is_no_divergence():
    stop = rules()
    assert stop(a_step(0, 1e-20, gap=0.0)) is None
    assert stop(a_step(1, 1.0, gap=1e-3)) is None  # J* is 0.999: the first value was rounding


def run(stop, objectives):
    for step, objective in enumerate(objectives):
        reason = stop(a_step(step, objective))
        if reason is not None:
            return step, reason
    return None


def test_improvement_ends_after_so_many_small_steps_in_a_row():
    found = run(rules("improvement", patience=3), [10, 5, 4.999, 4.998, 4.997])
    assert found == (4, StopReason.IMPROVEMENT)


def test_a_large_improvement_starts_the_count_again():
    found = run(rules("improvement", patience=3), [10, 9.999, 9.998, 5, 4.999, 4.998, 4.997])
    assert found == (6, StopReason.IMPROVEMENT)


def test_a_rise_is_not_a_small_improvement():
    assert run(rules("improvement", patience=1, max_steps=5), [1, 2, 3, 4, 5, 6]) == (5, StopReason.MAX_STEPS)


def test_improvement_does_not_look_at_the_certificate():
    stop = rules("improvement")
    assert stop(a_step(relative_gap=0.0, coefficient_error=0.0)) is None


def test_budgets_end_a_run():
    assert rules(max_steps=7)(a_step(6)) is None
    assert rules(max_steps=7)(a_step(7)) is StopReason.MAX_STEPS
    assert rules(max_seconds=2.0)(a_step(1, seconds=1.9)) is None
    assert rules(max_seconds=2.0)(a_step(1, seconds=2.0)) is StopReason.MAX_SECONDS
    assert rules(max_steps=0)(a_step(0)) is StopReason.MAX_STEPS


def test_reaching_the_tolerance_at_the_last_step_is_success():
    near = {"relative_gap": 0.0, "coefficient_error": 0.0}
    assert rules(max_steps=7, max_seconds=0.0)(a_step(7, **near)) is StopReason.CERTIFIED


def test_stopping_rules_can_be_used_again():
    stop = rules("improvement", patience=3)
    objectives = [10, 5, 4.999, 4.998, 4.997]
    assert run(stop, objectives) == run(stop, objectives)


def test_only_tolerances_reached_count_as_converged():
    assert {r for r in R if r.converged} == {R.CERTIFIED, R.ROUNDING, R.GAP, R.IMPROVEMENT, R.VALIDATION, R.GRADIENT}
    for reason in StopReason:
        assert reason.to_json() == {"reason": reason.name.lower(), "message": reason.value}


def test_the_first_of_several_reasons_ends_the_run():
    budget = Budget(100)
    stop = stopping(["validation", "gradient"], 1e-3, 2, budget)
    assert stop(a_step(0, validation=1.0)) is None
    assert stop(a_step(1, validation=0.5, gradient_norm=1e-4)) is StopReason.GRADIENT
    stop = stopping(["validation", "gradient"], 1e-3, 2, budget)
    found = [stop(a_step(i, validation=1.0)) for i in range(3)]
    assert found == [None, None, StopReason.VALIDATION]


def test_growth_by_a_constant_factor_is_seen_long_before_overflow():
    stop = rules()
    for step in range(100):
        reason = stop(a_step(step, 1.7**step, gap=1.7**step, gradient_norm=1.3**step))
        if reason is not None:
            break
    assert (step, reason) == (10, StopReason.DIVERGED)


def test_an_overshoot_that_grows_ever_more_slowly_is_no_divergence():
    stop = rules()
    values = [(1 + t) ** 2.0 for t in range(60)]  # heavy ball at a double root
    assert [stop(a_step(t, v, gap=v, gradient_norm=v**0.5)) for t, v in enumerate(values)] == [None] * 60


def test_epochs_are_counted_in_windows():
    stop = stopping(["certificate"], 1e-3, 3, Budget(1_000, None, 2, 5), noisy=True)
    assert [stop(a_step(t, 1.0 / (t + 1))) for t in range(11)] == [None] * 10 + [StopReason.MAX_EPOCHS]


def test_monitors_see_every_step_and_may_end_the_run():
    seen = []

    def watch(step):
        seen.append(step.step)
        return StopReason.MONITOR if step.step == 2 else None

    stop = stopping(["certificate"], 1e-3, 3, Budget(1_000), monitors=[watch, lambda step: seen.append(step.objective)])
    assert [stop(a_step(t, 1.0 / (t + 1))) for t in range(3)] == [None, None, StopReason.MONITOR]
    assert seen == [0, 1.0, 1, 0.5, 2, 1.0 / 3.0]
