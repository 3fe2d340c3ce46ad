# A data set of dictionaries, lazy layers, two heads in a ModuleDict, two losses; half precision.
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Shapes(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        width, height = 1 + (i * 7) % 5, 1 + (i * 3) % 4
        picture = torch.zeros(6, 6)
        picture[:height, :width] = 1.0
        return {"picture": picture, "area": float(width * height), "wide": int(width > height)}


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.ReLU())
        self.heads = nn.ModuleDict({"area": nn.LazyLinear(1), "wide": nn.LazyLinear(2)})

    def forward(self, x):
        features = self.body(x)
        return {name: head(features) for name, head in self.heads.items()}


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.zeros_(m.bias)


loader = DataLoader(Shapes(80), batch_size=16, shuffle=True, drop_last=True)
model = TwoHeads()
model(next(iter(loader))["picture"])
model.apply(init_weights)
print(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
totals = []
for epoch in range(6):
    for batch in loader:
        out = model(batch["picture"])
        area = F.mse_loss(out["area"].squeeze(1), batch["area"].float() / 10)
        wide = F.cross_entropy(out["wide"], batch["wide"], label_smoothing=0.1)
        optimizer.zero_grad()
        (area + 0.5 * wide).backward()
        optimizer.step()
    totals.append([area.item(), wide.item()])

model.eval()
batch = next(iter(DataLoader(Shapes(80), batch_size=80)))
with torch.no_grad():
    probabilities = model(batch["picture"])["wide"].softmax(dim=-1)
right = (probabilities.argmax(-1) == batch["wide"]).float().mean()
print(f"{right:.2f}", tuple(model.body[1].weight.shape))
small = model.body[1].weight.detach().half()
near = torch.isclose(small.float(), model.body[1].weight, rtol=1e-2, atol=1e-4)
print(small.dtype == torch.float16, near.all().item())
