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


def brute_pairs(within, ordered):
    """(folds learned from, fold judged): all others, or in the order of time those before."""
    within = list(within)
    if ordered:
        return [(within[:i], k) for i, k in enumerate(within) if i]
    return [([j for j in within if j != k], k) for k in within]


def brute_errors(data, order, pairs):
    """The RMSE of each judged fold with the base and these candidates."""
    X, groups, y, weight, fold = data
    columns = np.column_stack([X, *(groups[g] for g in order)])
    return np.array([refit_rmse(columns, y, weight, np.isin(fold, learned), fold == judged) for learned, judged in pairs])


def brute_noise(differences, data, pairs):
    """Nadeau and Bengio's standard error of the mean of the differences."""
    weight, fold = data[3], data[4]
    share = np.mean([weight[fold == judged].sum() / weight[np.isin(fold, learned)].sum() for learned, judged in pairs])
    return np.sqrt((1 / len(differences) + share) * np.var(differences, ddof=1))


def brute_greedy(data, pairs, most, noise=1.0):
    """The candidates in the order of their selection, and the errors after each step, with none first."""
    order, errors = [], [brute_errors(data, [], pairs)]
    while len(order) < most:
        rest = [g for g in range(len(data[1])) if g not in order]
        tried = [brute_errors(data, [*order, g], pairs) for g in rest]
        at = int(np.argmin([e.mean() for e in tried]))
        gain = errors[-1] - tried[at]
        if gain.mean() <= noise * brute_noise(gain, data, pairs):
            break
        order.append(rest[at])
        errors.append(tried[at])
    return order, np.array(errors)
