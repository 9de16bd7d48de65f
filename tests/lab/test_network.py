"""The network's gradient is the derivative of its loss; its starts end apart, the line's together."""

import numpy as np
from lab_tables import small

from gradline.lab.network import first_parameters, gradients, outputs, train_networks
from gradline.lab.settings import RunSettings, TableSettings
from gradline.lab.starts import STARTS, many_starts


def test_the_gradient_is_the_numerical_one():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    parameters = first_parameters(2, 3, 5)
    found = gradients(X, y, *parameters)

    def loss(at):
        return 0.5 * np.mean((outputs(X, *at) - y) ** 2, axis=1)

    for which, gradient in enumerate(found):
        for index in np.ndindex(*parameters[which].shape[1:]):
            moved = []
            for h in (1e-5, -1e-5):
                at = [p.copy() for p in parameters]
                at[which][(slice(None), *index)] += h
                moved.append(loss(at))
            np.testing.assert_allclose(gradient[(slice(None), *index)], (moved[0] - moved[1]) / 2e-5, rtol=1e-5, atol=1e-8)


def test_training_lowers_every_start():
    x = np.linspace(-2, 2, 40)[:, None]
    y = np.sin(2 * x[:, 0])
    first, later = (train_networks(x, y, x, 20, 0, steps).loss for steps in (1, 400))
    assert (later < first).all()


def test_fifty_starts_of_the_line_end_in_one_point_and_networks_do_not():
    found = many_starts(small(), TableSettings(("x",)), RunSettings(scaling="none", rate=None, rule="conjugate_gradient"))
    assert len(found["losses"]) == len(found["network"]["losses"]) == STARTS
    assert np.ptp(found["losses"]) < 1e-9 * found["minimum"]
    ends = np.array([path[-1] for path in found["paths"]])
    assert np.abs(ends - ends[0]).max() < 1e-6
    assert np.abs(np.diff([path[0] for path in found["paths"]], axis=0)).min() > 0.0
    assert len({f"{loss:.4g}" for loss in found["network"]["losses"]}) > 10
