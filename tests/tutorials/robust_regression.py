# A regression that outliers do not bend: absolute errors, AdamW with groups, a cosine schedule.
import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

x1, x2 = torch.meshgrid(torch.linspace(-1, 1, 12), torch.linspace(-1, 1, 12), indexing="ij")
features = torch.stack([x1.flatten(), x2.flatten()], dim=1)
target = (features**2).sum(dim=1, keepdim=True) - features.prod(dim=1, keepdim=True)
outliers = torch.arange(len(target)) % 17 == 0
target = target.masked_fill(outliers.unsqueeze(1), 5.0)

net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
decay = [p for name, p in net.named_parameters() if name.endswith("weight")]
no_decay = [p for name, p in net.named_parameters() if name.endswith("bias")]
optimizer = AdamW(
    [{"params": decay, "weight_decay": 0.05}, {"params": no_decay, "weight_decay": 0.0}], lr=0.02
)
scheduler = CosineAnnealingLR(optimizer, T_max=60)
criterion = nn.L1Loss()

trace = []
for step in range(60):
    optimizer.zero_grad(set_to_none=True)
    loss = criterion(net(features), target)
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 10 == 0:
        trace.append((step, loss.item(), optimizer.param_groups[0]["lr"]))

net.eval()
with torch.no_grad():
    clean = (net(features) - target).abs()[~outliers].mean()
for step, value, lr in trace:
    print(f"{step:3d} {value:8.4f} lr {lr:.5f}")
print("mean error on what is no outlier:", round(clean.item(), 3))
