# Which letter follows which, as one matrix of logits: one-hot inputs, a softmax written out.
import torch
import torch.nn.functional as F

words = [
    "emma",
    "olivia",
    "ava",
    "isabella",
    "sophia",
    "mia",
    "amelia",
    "harper",
    "evelyn",
    "abigail",
]
letters = ["."] + sorted(set("".join(words)))
stoi = {s: i for i, s in enumerate(letters)}
n = len(letters)

xs, ys = [], []
for word in words:
    chs = ["."] + list(word) + ["."]
    for ch1, ch2 in zip(chs, chs[1:]):
        xs.append(stoi[ch1])
        ys.append(stoi[ch2])
xs, ys = torch.tensor(xs), torch.tensor(ys)

N = torch.zeros((n, n), dtype=torch.int32)
for i, j in zip(xs, ys):
    N[i, j] += 1
P = (N + 1).float()
P /= P.sum(1, keepdim=True)

W = torch.zeros((n, n), requires_grad=True)
xenc = F.one_hot(xs, num_classes=n).float()
values = []
for k in range(40):
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(len(ys)), ys].log().mean() + 0.01 * (W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -10 * W.grad
    values.append(loss.item())

picked = P[: len(ys)].gather(1, ys[:n].unsqueeze(1))
likelihood = P[xs, ys].log().mean()
best = W.softmax(dim=1).cumsum(dim=1)
assert torch.allclose(best[:, -1], torch.ones(n), atol=1e-5)
print(f"{loss.item():.4f} {likelihood:.4f}", "".join(letters))
drawn = torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), num_samples=4, replacement=True)
print(drawn)
