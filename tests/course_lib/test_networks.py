import pytest
import torch
from torch import nn

from course_lib import networks


def test_mlp_is_linear_layers_with_activations_between():
    net = networks.mlp([3, 5, 4, 2], activation=nn.ReLU)
    assert [type(layer) for layer in net] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    x = torch.randn(7, 3)
    h = (net[2](net[0](x).clamp(min=0))).clamp(min=0)
    assert torch.allclose(net(x), h @ net[4].weight.T + net[4].bias, atol=1e-6)
    assert networks.parameter_count(net) == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2
    with pytest.raises(ValueError, match="at least an input and an output size"):
        networks.mlp([3])


def test_an_autoencoder_reconstructs_and_its_cost_is_the_cross_entropy():
    torch.manual_seed(0)
    model, x = networks.Autoencoder([6, 9, 9, 2]), torch.rand(5, 6)
    assert model.encoder(x).shape == (5, 2) and torch.equal(model(x), model.decoder(model.encoder(x)))
    white = model(x).sigmoid()
    by_hand = -(x * white.log() + (1 - x) * (1 - white).log()).sum(1).mean()
    assert torch.allclose(networks.reconstruction_cost(model, x), by_hand, atol=1e-5)
    assert networks.reconstruction_cost(lambda x: 1000 * (2 * x - 1), x.round()) == 0  # no logit is too large


def test_residual_mlp_starts_at_zero_and_sees_the_time():
    torch.manual_seed(0)
    net = networks.ResidualMLP(2, max_time=200).double()
    x, t = torch.randn(6, 2, dtype=torch.float64), torch.randint(1, 201, (6,))
    assert (net(x, t) == 0).all()
    nn.init.normal_(net.outlet.weight)
    assert not torch.allclose(net(x, t), net(x, t.flip(0)), atol=1e-3)
    assert torch.allclose(net(x, t), net(x, t.float()))
    rows = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(6)])
    assert torch.allclose(net(x, t), rows, atol=1e-6)  # rows do not mix


def test_residual_mlp_is_smooth_in_time():
    torch.manual_seed(0)
    net = networks.ResidualMLP(2, max_time=1000)
    nn.init.normal_(net.outlet.weight)
    x = torch.randn(1, 2).expand(1000, 2)
    out = net(x, torch.arange(1, 1001))
    assert (out[1:] - out[:-1]).abs().max() < 0.05 * (out.max() - out.min())


def test_residual_mlp_learns_a_function_of_point_and_time():
    from course_lib import fit

    torch.manual_seed(0)
    x, t = torch.rand(2000, 1) * 2 - 1, torch.randint(0, 11, (2000,))
    y = torch.sin(3 * x + t[:, None] / 3)
    net = networks.ResidualMLP(1, max_time=10, hidden_dim=32, depth=2)
    run = fit(net, lambda m, x, t, y: (m(x, t) - y).square().mean(), (x, t, y), steps=400, progress=False)
    assert run.final < 0.01 * y.var()


def test_wrong_shapes_are_named():
    net = networks.ResidualMLP(2, max_time=10)
    with pytest.raises(ValueError, match=r"expected x \(B, 2\) and t \(B,\), got \(4, 3\) and \(4,\)"):
        net(torch.zeros(4, 3), torch.ones(4))
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(4, 1\)"):
        net(torch.zeros(4, 2), torch.ones(4, 1))


def test_a_context_enters_beside_the_point():
    net = networks.ResidualMLP(2, max_time=10, hidden_dim=8, depth=1, context_dim=3)
    torch.nn.init.normal_(net.outlet.weight)
    x, t, context = torch.randn(4, 2), torch.tensor([1, 2, 3, 4]), torch.randn(4, 3)
    answer = net(x, t, context)
    assert answer.shape == (4, 2) and not torch.equal(answer, net(x, t, context + 1))
    alone = networks.ResidualMLP(5, max_time=10, hidden_dim=8, depth=1)  # the same with point and context as one point
    alone.load_state_dict({k: v for k, v in net.state_dict().items() if "outlet" not in k}, strict=False)
    torch.nn.init.zeros_(alone.outlet.weight)
    with torch.no_grad():
        alone.outlet.weight[:2], alone.outlet.bias[:2] = net.outlet.weight, net.outlet.bias
    torch.testing.assert_close(alone(torch.cat([x, context], 1), t)[:, :2], answer)
    for wrong in (None, torch.randn(4, 2)):
        with pytest.raises(ValueError, match="context"):
            net(x, t, wrong)
    with pytest.raises(ValueError, match="context"):
        networks.ResidualMLP(2, max_time=10)(x, t, context)
