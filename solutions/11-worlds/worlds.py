# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 11 · Shapes, meshes and films

# %%
# Imports, the device, and draws of noise
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn


# %% exercise="sds_gradient"
def sds_gradient(render, model, theta, t, eps, alpha_bar, weight):
    """The score-distillation gradient: what a noise predictor would change about a scene, seen from V views.

    Each view's picture x = render(theta)[v] is noised, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps, and the predictor
    is asked once. The gradient is the mean over the views of w_t (eps_hat(x_t) - eps) . dx/dtheta, the dot being the
    sum over all entries of the picture, and w_t = weight[t] with the t of the view. Nothing else stands before it: the
    slope sqrt(abar_t) of x_t is part of the weight already, and the predictor is never differentiated.

    Args:
        render: theta -> pictures (V, *event), differentiable; called exactly once.
        model: (x_t, t) -> eps_hat, like the pictures; called exactly once, for all views together.
        theta: a tensor of any shape, the scene. It is not changed, and neither are its `grad` and `requires_grad`.
        t: LongTensor (V,), a time for each view.
        eps: (V, *event), the noise.
        alpha_bar: a table (T + 1,).
        weight: a table (T + 1,), w_t at entry t.

    Returns:
        A tensor like theta, which carries no gradient itself.
    """
    ### BEGIN SOLUTION
    scene = theta.detach().clone().requires_grad_()
    pictures = render(scene)
    level, w = (table[t].reshape(-1, *[1] * (eps.ndim - 1)) for table in (alpha_bar, weight))
    with torch.no_grad():
        xt = level.sqrt() * pictures + (1 - level).sqrt() * eps
        pull = w * (model(xt, t) - eps) / len(t)
    return torch.autograd.grad(pictures, scene, pull)[0]
    ### END SOLUTION


# %% exercise="sds_fixed_point"
def sds_fixed_point(mean_c, cov_c, mean_u, cov_u, level, w):
    """Where guided score distillation comes to rest, for Gaussian data and one noise level.

    The picture x itself is optimised. eps_c(x_t) and eps_u(x_t) are the best noise predictors of the data
    N(mean_c, cov_c) and N(mean_u, cov_u), with and without the condition. The place is the x with
    E[(1 + w) eps_c(x_t) - w eps_u(x_t) - eps] = 0, where x_t = sqrt(level) x + sqrt(1 - level) eps and the mean is over
    eps ~ N(0, I). Whether or not the gradient leads there.

    Args:
        mean_c, mean_u: (D,), the means with and without the condition.
        cov_c, cov_u: (D, D), symmetric and positive semi-definite; they may be singular.
        level: abar_t, a float in (0, 1).
        w: a float >= 0, how strongly you guide; the matrix that has to be inverted is regular.

    Returns:
        (D,).
    """
    ### BEGIN SOLUTION
    one = torch.eye(len(mean_c), dtype=mean_c.dtype, device=mean_c.device)
    pull_c = (1 + w) * torch.linalg.inv(level * cov_c + (1 - level) * one)
    pull_u = w * torch.linalg.inv(level * cov_u + (1 - level) * one)
    return torch.linalg.solve(pull_c - pull_u, pull_c @ mean_c - pull_u @ mean_u)
    ### END SOLUTION


# %% exercise="SetLinear"
class SetLinear(nn.Module):
    """A linear layer for sets of points: y_i = own(x_i) + pooled(mean_j x_j).

    The mean is over all N points of the set, x_i included. The order of the points does not matter: permuted points
    give the same answers, permuted. N may differ from call to call.

    Attributes:
        own: nn.Linear(in_dim, out_dim), with a bias.
        pooled: nn.Linear(in_dim, out_dim), without one.

    Both start as PyTorch starts them; nothing else is learned.
    """

    def __init__(self, in_dim, out_dim):
        super().__init__()
        ### BEGIN SOLUTION
        self.own = nn.Linear(in_dim, out_dim)
        self.pooled = nn.Linear(in_dim, out_dim, bias=False)
        ### END SOLUTION

    def forward(self, x):
        """x (B, N, in_dim), N >= 1 -> (B, N, out_dim)."""
        ### BEGIN SOLUTION
        return self.own(x) + self.pooled(x.mean(1, keepdim=True))
        ### END SOLUTION


# %% exercise="chamfer_distance"
def chamfer_distance(x, y):
    """The Chamfer distance of two sets of points: each point to its nearest one in the other set, both ways.

    mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2: squared Euclidean distances, the two means added (not
    averaged).

    Args:
        x: (B, N, D), N >= 1.
        y: (B, M, D), M >= 1.

    Returns:
        (B,).
    """
    ### BEGIN SOLUTION
    squared = (x[:, :, None] - y[:, None]).square().sum(-1)  # (B, N, M)
    return squared.amin(2).mean(1) + squared.amin(1).mean(1)
    ### END SOLUTION


# %% exercise="earth_movers_distance"
def earth_movers_distance(x, y):
    """The earth mover's distance of two sets of equally many points.

    The least mean distance over all one-to-one matchings: min over permutations s of 1/N sum_i |x_i - y_s(i)|, with
    plain Euclidean distances, not squared ones.

    Args:
        x, y: (B, N, D) each, N >= 1.

    Returns:
        (B,).
    """
    ### BEGIN SOLUTION
    distance = (x[:, :, None] - y[:, None]).norm(dim=-1)  # (B, N, N)
    means = []
    for table in distance:
        rows, columns = linear_sum_assignment(table.detach().cpu().numpy())
        means.append(table[rows, columns].mean())
    return torch.stack(means)
    ### END SOLUTION


# %% exercise="next_corner_mask"
def next_corner_mask(corners, num_vertices):
    """The vertices with which a canonical list of triangles may go on.

    A canonical triangle has three different vertices, the lowest number first; (0, 1, 2) and (0, 2, 1) are two
    triangles, seen from two sides. A canonical list is sorted: each triangle stands strictly after the last one in
    lexicographic order, first corner, then second, then third.

    Args:
        corners: LongTensor (n,), n >= 0, the corners written so far, one triangle after the other: the beginning of
            some canonical list, possibly inside a triangle.
        num_vertices: an int, how many vertices there are.

    Returns:
        bool (num_vertices,), on the device of `corners`: True at v where some canonical list begins with `corners`
        and then v, with v's triangle complete. All False where nothing goes on: the list is complete.
    """
    ### BEGIN SOLUTION
    done = len(corners) - len(corners) % 3
    last, begun = corners[:done][-3:].tolist(), corners[done:].tolist()
    allowed = []
    for v in range(num_vertices):
        face = [*begun, v]
        rest = [u for u in reversed(range(face[0] + 1, num_vertices)) if u not in face]
        largest = face + rest[: 3 - len(face)]  # of all triangles that begin so, the last one
        different = len(set(face)) == len(face)
        allowed.append(different and len(largest) == 3 and min(face) == face[0] and largest > last)
    return torch.tensor(allowed, dtype=torch.bool, device=corners.device)
    ### END SOLUTION


# %% exercise="pointer_log_probs"
def pointer_log_probs(query, vertices, valid):
    """A pointer: log-probabilities over the vertices of a mesh, whatever their number.

    The logit of a vertex is the dot product of the query and its embedding, without any scaling; log-softmax over the
    valid vertices alone.

    Args:
        query: (B, D), what the network has to say about the next corner.
        vertices: (B, V, D), an embedding of each vertex.
        valid: bool (B, V), which vertices may be chosen; at least one in each row.

    Returns:
        (B, V): log-probabilities, -inf where not valid. Exact where logits are large: the exponential of none is taken
        before the largest valid one is subtracted.
    """
    ### BEGIN SOLUTION
    logits = torch.einsum("bd,bvd->bv", query, vertices)
    return logits.masked_fill(~valid, -torch.inf).log_softmax(-1)
    ### END SOLUTION


# %% exercise="Pseudo3DConv"
class Pseudo3DConv(nn.Module):
    """A convolution of a film in two parts: over each frame, then along time at each pixel.

    Both are padded with zeros, so that frames, height and width stay. The part along time begins as the identity, so
    that before any training the layer does to each frame what `spatial` does to it.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: k, an odd int, the same in height, width and time.

    Attributes:
        spatial: nn.Conv2d(in_channels, out_channels, k), with a bias, as PyTorch starts it.
        temporal: nn.Conv1d(out_channels, out_channels, k), with a bias; at the start the centre tap from each channel to
            itself is 1, and every other weight and the bias are 0.
    """

    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        ### BEGIN SOLUTION
        around = kernel_size // 2
        self.spatial = nn.Conv2d(in_channels, out_channels, kernel_size, padding=around)
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, padding=around)
        nn.init.dirac_(self.temporal.weight)
        nn.init.zeros_(self.temporal.bias)
        ### END SOLUTION

    def forward(self, film):
        """film (B, in_channels, F, H, W) -> (B, out_channels, F, H, W)."""
        ### BEGIN SOLUTION
        B, _, frames, height, width = film.shape
        pictures = self.spatial(film.transpose(1, 2).flatten(0, 1))  # (B F, out, H, W)
        lines = pictures.unflatten(0, (B, frames)).permute(0, 3, 4, 2, 1)  # (B, H, W, out, F)
        lines = self.temporal(lines.flatten(0, 2)).unflatten(0, (B, height, width))
        return lines.permute(0, 3, 4, 1, 2)
        ### END SOLUTION
