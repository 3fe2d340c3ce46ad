# Three spirals: a data set class of one's own, batches, a module, SGD with momentum, accuracy.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Spirals(Dataset):
    def __init__(self, per_class, classes=3, turn=0.0):
        t = np.linspace(0.1, 1, per_class)
        self.points, self.labels = [], []
        for k in range(classes):
            angle = 4 * t + 2 * np.pi * k / classes + turn
            self.points += list(np.stack([t * np.cos(angle), t * np.sin(angle)], 1))
            self.labels += [k] * per_class

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        return torch.tensor(self.points[idx], dtype=torch.float32), self.labels[idx]


class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.fc1 = nn.Linear(2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 3)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.out(x)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_loader = DataLoader(Spirals(60), batch_size=32, shuffle=True, num_workers=0)
test_loader = DataLoader(Spirals(20, turn=0.05), batch_size=64)
net = Net(24).to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)


@torch.no_grad()
def evaluate(loader):
    net.eval()
    correct = total = 0
    for points, labels in loader:
        predicted = net(points.to(device)).argmax(dim=1)
        correct += (predicted == labels.to(device)).sum().item()
        total += labels.size(0)
    return correct / total


curve = []
for epoch in range(8):
    net.train()
    running = 0.0
    for points, labels in train_loader:
        points, labels = points.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(net(points), labels)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(labels)
    curve.append(running / len(train_loader.dataset))
    print(f"[{epoch + 1}] loss: {curve[-1]:.3f}")
accuracy = evaluate(test_loader)
print(f"accuracy {100 * accuracy:.1f} %")
