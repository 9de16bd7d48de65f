"""Cross-validation and selection by least squares on the rows themselves, fold by fold: what the Gram matrices have to say.

data: (X (n, p) with ones first, the candidates' columns (n, g) each, y, weight, fold).
"""

import numpy as np


def refit_rmse(columns, y, weight, learned, judged):
    """Least squares on some rows, its RMSE on others."""
    centre, scale = columns.mean(axis=0), columns.std(axis=0) + (columns.std(axis=0) == 0.0)
    Z = (columns - centre) / scale
    Z[:, 0] = 1.0
    root = np.sqrt(weight[learned])
    b = np.linalg.lstsq(Z[learned] * root[:, None], y[learned] * root, rcond=None)[0]
    return np.sqrt(np.average((y[judged] - Z[judged] @ b) ** 2, weights=weight[judged]))


def brute_errors(data, order, within, judged=None):
    """The RMSE of each fold of `within` (or of the one `judged`), learned from the others of `within`."""
    X, groups, y, weight, fold = data
    columns = np.column_stack([X, *(groups[g] for g in order)])
    return np.array(
        [
            refit_rmse(columns, y, weight, np.isin(fold, [j for j in within if j != k]), fold == k)
            for k in (within if judged is None else [judged])
        ]
    )


def brute_error(differences, data, within):
    heavy = np.array([data[3][data[4] == k].sum() for k in within])
    share = np.mean(heavy / (heavy.sum() - heavy))
    return np.sqrt((1 / len(differences) + share) * np.var(differences, ddof=1))


def brute_greedy(data, within, most, noise):
    order, errors = [], [brute_errors(data, [], within)]
    while len(order) < most:
        rest = [g for g in range(len(data[1])) if g not in order]
        tried = [brute_errors(data, [*order, g], within) for g in rest]
        at = int(np.argmin([e.mean() for e in tried]))
        gain = errors[-1] - tried[at]
        if gain.mean() <= noise * brute_error(gain, data, within):
            break
        order.append(rest[at])
        errors.append(tried[at])
    return order, np.array(errors)
