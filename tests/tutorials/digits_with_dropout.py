# Pictures of 8 x 8 with dropout, Adam and a step schedule; train() and eval() in turn.
import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.RandomState(1)
prototypes = rng.uniform(size=(10, 1, 8, 8))
labels = np.arange(300) % 10
images = prototypes[labels] + 0.3 * rng.normal(size=(300, 1, 8, 8))
dataset = TensorDataset(torch.from_numpy(images).float(), torch.from_numpy(labels).long())
train_set = torch.utils.data.Subset(dataset, range(240))
test_set = torch.utils.data.Subset(dataset, range(240, 300))

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Dropout(p=0.3),
    nn.Linear(32, 10),
    nn.LogSoftmax(dim=1),
)
print(model)
print("parameters:", sum(p.numel() for p in model.parameters() if p.requires_grad))
optimizer = optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99))
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)


def train(epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(DataLoader(train_set, batch_size=40)):
        optimizer.zero_grad()
        output = model(data)
        loss = nn.functional.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % 3 == 0:
            print(f"Train Epoch: {epoch} [{batch_idx * len(data)}]\tLoss: {loss.item():.4f}")


def test():
    model.eval()
    test_loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in DataLoader(test_set, batch_size=30):
            output = model(data)
            test_loss += nn.functional.nll_loss(output, target, reduction="sum").item()
            pred = output.max(1, keepdim=True)[1]
            correct += pred.eq(target.view(-1, 1)).sum().item()
    return test_loss / len(test_set), correct


results = []
for epoch in range(1, 5):
    train(epoch)
    results.append(test())
    scheduler.step()
    print("lr", scheduler.get_last_lr()[0], "test", results[-1][1])
