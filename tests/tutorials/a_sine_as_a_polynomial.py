# sin x as a polynomial of degree three, by nn, a loss that sums, and an optimiser with a closure.
import math

import torch
from torch import nn

x = torch.linspace(-math.pi, math.pi, 400)
y = torch.sin(x)
powers = torch.tensor([1, 2, 3])
xx = x.unsqueeze(-1).pow(powers)

model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
loss_fn = nn.MSELoss(reduction="sum")
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)


def closure():
    optimizer.zero_grad()
    loss = loss_fn(model(xx), y)
    loss.backward()
    return loss


history = []
for t in range(150):
    loss = optimizer.step(closure)
    if t % 30 == 29:
        history.append(loss.item())
        print(t, loss.item())

linear_layer = model[0]
a, (b, c, d) = linear_layer.bias.item(), linear_layer.weight[0].tolist()
print(f"y = {a:.4f} + {b:.4f} x + {c:.4f} x^2 + {d:.4f} x^3")
