# An autoencoder of layers in a list, kept in memory, pruned, and finished with its encoder frozen.
import copy
import io

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(5)
codes = rng.normal(size=(128, 2)).astype(np.float32)
data = torch.from_numpy(np.tanh(codes @ rng.normal(size=(2, 8)).astype(np.float32)))


class AutoEncoder(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        pairs = list(zip(sizes, sizes[1:]))
        self.encoder = nn.ModuleList([nn.Linear(m, n) for m, n in pairs])
        self.decoder = nn.ModuleList([nn.Linear(n, m) for m, n in reversed(pairs)])

    def encode(self, x):
        for i, layer in enumerate(self.encoder):
            x = layer(x)
            if i + 1 < len(self.encoder):
                x = x.tanh()
        return x

    def forward(self, x):
        z = self.encode(x)
        for layer in self.decoder[:-1]:
            z = torch.tanh(layer(z))
        return self.decoder[-1](z)


model = AutoEncoder([8, 6, 2])
optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1, momentum=0.8)
errors = []
for epoch in range(30):
    for batch in data.chunk(4):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), batch)
        loss.backward()
        optimizer.step()
    errors.append(loss.item())

buffer = io.BytesIO()
torch.save(model.state_dict(), buffer)
buffer.seek(0)
twin = AutoEncoder([8, 6, 2])
print(twin.load_state_dict(torch.load(buffer)))
assert torch.allclose(twin(data), model(data))

best = copy.deepcopy(model.state_dict())
for p in model.encoder.parameters():
    p.requires_grad = False
before = model.encode(data)
tail = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.05)
for _ in range(10):
    tail.zero_grad()
    loss = (model(data) - data).pow(2).sum(dim=1).mean()
    loss.backward()
    tail.step()
assert torch.equal(before, model.encode(data))
assert not torch.equal(best["decoder.0.weight"], model.state_dict()["decoder.0.weight"])
print("variance of the codes", before.var(dim=0))
