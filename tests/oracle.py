"""Similarities straight from their equations: slow, plain, and sharing no code with the package.

X and Y have shape (n_samples, n_features); complex inner products conjugate the left side.
"""

import numpy as np
import scipy.linalg

# Columns of a pivoted QR whose remainder is below this share of the first are dependent.
DEPENDENT = 1e-10


def centred(x):
    x = np.asarray(x)
    return x - x.mean(axis=0)


def basis(x):
    """Orthonormal basis of the centred column space, by pivoted QR."""
    q, r, _ = scipy.linalg.qr(centred(x), mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    return q[:, size > DEPENDENT * size[0]]


def correlations(x, y):
    """Canonical correlations: cosines of the principal angles between the column spaces."""
    return np.linalg.svd(basis(x).conj().T @ basis(y), compute_uv=False)


def correlations_from_covariances(x, y):
    """The textbook way, singular values of Σxx^-1/2 Σxy Σyy^-1/2. For full rank only."""
    x, y = centred(x), centred(y)
    whiten_x = np.linalg.inv(scipy.linalg.sqrtm(x.conj().T @ x))
    whiten_y = np.linalg.inv(scipy.linalg.sqrtm(y.conj().T @ y))
    return np.linalg.svd(whiten_x @ (x.conj().T @ y) @ whiten_y, compute_uv=False)


def leading_dims(x, share, power=2):
    """The fewest directions whose singular values, to that power, add up to the share."""
    weights = [value**power for value in np.linalg.svd(centred(x), compute_uv=False)]
    total, reached = sum(weights), 0.0
    for count, weight in enumerate(weights, start=1):
        reached += weight
        if reached >= share * total:
            return count
    return len(weights)


def leading(x, dims):
    """The centred activations with all but their leading directions removed."""
    u, values, vh = np.linalg.svd(centred(x), full_matrices=False)
    total = np.zeros_like(u[:, :1] * vh[:1])
    for i in range(min(dims, len(values))):
        total = total + values[i] * np.outer(u[:, i], vh[i])
    return total


def mean_cca(x, y):
    return np.mean(correlations(x, y))


def cca_r2(x, y):
    return np.mean(correlations(x, y) ** 2)


def svcca(x, y, share=0.99, power=2):
    kept_x = leading(x, leading_dims(x, share, power))
    kept_y = leading(y, leading_dims(y, share, power))
    return mean_cca(kept_x, kept_y)


def pwcca(x, y):
    """Weights from x, neuron by neuron. For correlations without ties."""
    q_x, z = basis(x), centred(x)
    u, rho, _ = np.linalg.svd(q_x.conj().T @ basis(y), full_matrices=False)
    weights = []
    for i in range(len(rho)):
        variate = q_x @ u[:, i]
        weights.append(sum(abs(np.vdot(variate, z[:, j])) for j in range(z.shape[1])))
    return sum(w * r for w, r in zip(weights, rho, strict=True)) / sum(weights)


def linear_cka(x, y):
    """From the n × n Gram matrices, centred on both sides."""
    n = len(x)
    centre = np.eye(n) - np.ones((n, n)) / n
    x, y = np.asarray(x), np.asarray(y)
    k = centre @ (x @ x.conj().T) @ centre
    m = centre @ (y @ y.conj().T) @ centre
    inner = np.real(np.trace(k @ m))
    return inner / np.sqrt(np.real(np.trace(k @ k)) * np.real(np.trace(m @ m)))


def kernel(x):
    return centred(x) @ centred(x).conj().T


def hsic(k, m):
    """Equation 5 of Song et al. 2012, with the diagonals set to 0."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    total = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return np.real(total - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def debiased_cka(x, y):
    k, m = kernel(x), kernel(y)
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def rsa(x, y):
    apart = ~np.eye(len(x), dtype=bool)
    k, m = (a[apart] - a[apart].mean() for a in (kernel(x), kernel(y)))
    return max(0.0, np.real(np.vdot(k, m)) / (np.linalg.norm(k) * np.linalg.norm(m)))


def pls(x, y):
    x, y = centred(x), centred(y)
    u, covariances, vh = np.linalg.svd(x.conj().T @ y, full_matrices=False)
    total = 0.0
    for i, sigma in enumerate(covariances):
        a, b = x @ u[:, i], y @ vh[i].conj()
        total += sigma * abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))
    return total / covariances.sum()


def procrustes(x, y):
    x, y = centred(x), centred(y)
    nuclear = np.sum(np.linalg.svd(x.conj().T @ y, compute_uv=False))
    return nuclear / (np.linalg.norm(x) * np.linalg.norm(y))


def effective_rank(x):
    """Participation ratio of the eigenvalues of the kernel: (tr K)² / ‖K‖²."""
    k = centred(x) @ centred(x).conj().T
    return np.real(np.trace(k)) ** 2 / np.linalg.norm(k) ** 2


# By the package's names of the measures.
BY_NAME = {
    "cca": mean_cca,
    "cca_r2": cca_r2,
    "svcca": svcca,
    "pwcca": pwcca,
    "cka": linear_cka,
    "cka_debiased": debiased_cka,
    "rsa": rsa,
    "pls": pls,
    "procrustes": procrustes,
}


# Layers to try them on, and what turns them.


def pair(n_samples=200, n_x=8, n_y=6, *, seed=0):
    """Two views that share three directions, of uneven variance and with offsets."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_samples, 3))
    x = signal @ rng.normal(size=(3, n_x)) + rng.normal(size=(n_samples, n_x)) + 2.0
    y = signal @ rng.normal(size=(3, n_y)) + rng.normal(size=(n_samples, n_y))
    return x, y * np.linspace(1, 3, n_y)


def rotation(k, rng):
    return np.linalg.qr(rng.normal(size=(k, k)))[0]


def normal(n_samples, n_features, *, seed=0, rank=None, dtype=np.float64):
    """Gaussian activations, of full rank or of the given one."""
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_features)
    x = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * rng.normal(size=shape)
    if rank is not None:
        x = rng.normal(size=(n_samples, rank)) @ rng.normal(size=(rank, n_features))
    return x.astype(dtype)


def with_singular_values(values, *, n_samples=50, seed=0):
    """Centred activations with these singular values."""
    k = len(values)
    q = np.linalg.qr(np.column_stack([np.ones(n_samples), normal(n_samples, k, seed=seed)]))[0]
    rotation = np.linalg.qr(normal(k, k, seed=seed + 1))[0]
    return q[:, 1:] @ np.diag(values) @ rotation


# Of one array in memory.
LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
}
