# A small model, trained by all members together with gloo; prints a hash of its weights, which must be the same everywhere.
import hashlib, os, sys, time
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

steps = int(os.environ.get("STEPS", "10"))
if os.environ["TUNL_CLUSTER_RANK"] == "0":
    time.sleep(float(os.environ.get("LATE", "0")))
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(64, 64))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
numbers = torch.Generator().manual_seed(rank)
for step in range(steps):
    optimizer.zero_grad()
    model(torch.randn(32, 64, generator=numbers)).pow(2).mean().backward()
    optimizer.step()
    if os.environ.get("DIES") == str(rank) and step == 5:
        os._exit(9)
# Long enough that a cut link meets one of them.
seconds = float(os.environ.get("REDUCE_SECONDS", "0"))
until = time.time() + seconds
print("training", flush=True)
while True:
    whole = torch.full((1024 * 1024,), float(rank))
    dist.all_reduce(whole)
    assert whole[0].item() == size * (size - 1) / 2
    go_on = torch.tensor([1.0 if time.time() < until else 0.0])
    dist.all_reduce(go_on, op=dist.ReduceOp.MIN)
    if go_on.item() == 0:
        break
weights = b"".join(part.detach().numpy().tobytes() for part in model.parameters())
print("weights", hashlib.sha256(weights).hexdigest()[:16], "of", size, flush=True)
