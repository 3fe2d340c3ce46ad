# A line, fitted by hand: autograd gives the gradients, the loop takes the steps.
import torch

n = 200
X = torch.linspace(-2, 2, n).reshape(-1, 1)
true_w, true_b = torch.tensor([[1.7]]), -0.4
y = X @ true_w + true_b + 0.1 * torch.sin(37 * X)

w = torch.zeros(1, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def batches(size):
    for i in range(0, n, size):
        rows = torch.arange(i, min(i + size, n))
        yield X[rows], y[rows]


losses = []
for epoch in range(5):
    for xb, yb in batches(20):
        loss = ((torch.matmul(xb, w) + b - yb) ** 2 / 2).mean()
        loss.backward()
        with torch.no_grad():
            for param in (w, b):
                param -= 0.1 * param.grad
                param.grad.zero_()
    with torch.no_grad():
        losses.append(float(((X @ w + b - y) ** 2).mean()))
    print(f"epoch {epoch + 1}, loss {losses[-1]:f}")

print(w, b)
error = (w.detach() - true_w).norm()
print("error of w:", error.item())
