# Two classes, one of them rare: logits, a weight for the positive ones, precision and recall.
import numpy as np
import torch
import torch.nn as nn

rng = np.random.default_rng(3)
inputs = torch.tensor(rng.normal(size=(400, 5)), dtype=torch.float32)
score = inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.5]) - 3.0
labels = (score > 0).float()
positive = labels.sum()
pos_weight = (len(labels) - positive) / positive


class LogisticRegression(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.linear = nn.Linear(n_features, 1)

    def forward(self, x):
        return self.linear(x).squeeze(-1)


model = LogisticRegression(5)
loss_fn = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, nesterov=True)

losses = []
for epoch in range(40):
    permutation = torch.arange(len(inputs))
    for chunk in permutation.split(100):
        optimizer.zero_grad()
        loss = loss_fn(model(inputs[chunk]), labels[chunk])
        loss.backward()
        optimizer.step()
    losses.append(loss.detach())

losses = torch.stack(losses)
assert torch.isfinite(losses).all()
with torch.no_grad():
    predicted = torch.sigmoid(model(inputs)) > 0.5
truth = labels.bool()
hits = (predicted & truth).sum().item()
precision, recall = hits / predicted.sum().item(), hits / truth.sum().item()
print(f"precision {precision:.3f} recall {recall:.3f}")
