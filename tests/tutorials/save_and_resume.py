# Training that is interrupted: a checkpoint of model, optimiser and schedule, and where it goes on.
import os
import tempfile

import torch
from torch import nn, optim

x = torch.linspace(-1, 1, 64).unsqueeze(1)
y = x**3 - 0.5 * x
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")


def make():
    model = nn.Sequential(nn.Linear(1, 16), nn.Sigmoid(), nn.Linear(16, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05, amsgrad=True)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.95**epoch)
    return model, optimizer, scheduler


def train(model, optimizer, scheduler, first, last):
    losses = []
    for epoch in range(first, last):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


model, optimizer, scheduler = make()
start = {k: v.clone() for k, v in model.state_dict().items()}
torch.save(start, path)
whole = train(model, optimizer, scheduler, 0, 20)

resumed, optimizer, scheduler = make()
resumed.load_state_dict(torch.load(path))
first_half = train(resumed, optimizer, scheduler, 0, 10)
torch.save(
    {
        "epoch": 10,
        "model_state_dict": resumed.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": first_half[-1],
    },
    path,
)

resumed, optimizer, scheduler = make()
checkpoint = torch.load(path)
print(list(checkpoint["model_state_dict"]))
resumed.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
scheduler.last_epoch = checkpoint["epoch"]
second_half = train(resumed, optimizer, scheduler, checkpoint["epoch"], 20)

assert first_half + second_half == whole
for (name, one), other in zip(model.named_parameters(), resumed.parameters()):
    assert torch.equal(one, other), name
print("resumed at", checkpoint["loss"], "ended at", whole[-1])
os.remove(path)
