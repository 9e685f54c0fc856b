"""Numbers for AbsorptionProbeTests.swift, computed independently in NumPy and float64.

    .venv/bin/python dev/reference/absorption_reference.py

Prints, for made-up rows that the test makes too: weights of the letter probe (binary cross-entropy,
positives counting neg/pos times, Adam with weight decay, a learning rate that falls by epochs), weights
of the ranking probe (the same with an L1 penalty) and the balanced logistic regression (minimised by
plain gradient descent, checked by its gradient). All start at zero and take rows in file order.
"""
import numpy as np


def adam_probe(x, y, outputs, epochs, batch, first, last, decay, l1):
    n, d = x.shape
    target = (y[:, None] == np.arange(outputs)[None, :]).astype(float)
    positive = (n - target.sum(0)) / target.sum(0)
    p = [np.zeros((outputs, d)), np.zeros(outputs)]
    m = [np.zeros_like(a) for a in p]
    v = [np.zeros_like(a) for a in p]
    step = 0
    for epoch in range(epochs):
        rate = first * (last / first) ** (epoch / epochs)
        for start in range(0, n, batch):
            xb, tb = x[start:start + batch], target[start:start + batch]
            prob = 1 / (1 + np.exp(-(xb @ p[0].T + p[1])))
            slope = np.where(tb == 1, -positive * (1 - prob), prob) / tb.size
            grads = [slope.T @ xb + l1 / outputs * np.sign(p[0]), slope.sum(0)]
            step += 1
            for i, g in enumerate(grads):
                g = g + decay * p[i]
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                mean, square = m[i] / (1 - 0.9**step), v[i] / (1 - 0.999**step)
                p[i] = p[i] - rate * mean / (np.sqrt(square) + 1e-8)
    return p


def balanced_logistic(x, y):
    n, d = x.shape
    weight = np.where(y, n / (2 * y.sum()), n / (2 * (n - y.sum())))
    sign = np.where(y, 1.0, -1.0)
    w, b = np.zeros(d), 0.0
    # A step of 1 / L, where L is the largest possible curvature.
    size = 1 / (1 + 0.25 * np.linalg.eigvalsh((np.c_[x, np.ones(n)].T * weight) @ np.c_[x, np.ones(n)])[-1])
    for _ in range(1_000_000):
        g = -weight * sign / (1 + np.exp(sign * (x @ w + b)))
        gw, gb = w + x.T @ g, g.sum()
        w, b = w - size * gw, b - size * gb
        if max(abs(gw).max(), abs(gb)) < 1e-11:
            break
    return w, b, max(abs(gw).max(), abs(gb))


def rows(n, d, classes):
    i, j = np.arange(n)[:, None], np.arange(d)[None, :]
    y = (np.arange(n) * 7 // 3) % classes
    x = np.sin(1.3 * (i + 1) * (j + 1)) + 0.8 * (y[:, None] == j % classes)
    return x, y


def show(name, values):
    print(f"{name}: [{', '.join(f'{v:.6f}' for v in np.ravel(values))}]")


x, y = rows(90, 5, 3)
weights, bias = adam_probe(x, y, 3, 50, 16, 1e-2, 1e-5, 1e-4, 0)
show("letter probe weights", weights)
show("letter probe bias", bias)
# Sparse rows: values below 0.3 are not active.
sparse = np.where(x > 0.3, 10 * x, 0)
weights, bias = adam_probe(sparse, y, 3, 50, 32, 1e-2, 1e-5, 1e-6, 0.01)
show("ranking probe weights", weights)
w, b, g = balanced_logistic(sparse[:, :2], y == 0)
show("logistic", np.r_[w, b])
print("gradient at its end:", g)
