# A Dask cluster: rank 0 has the scheduler and a client that computes, the other ranks have workers.
# sh dask.sh FOLDER RANK MASTER, where FOLDER has `dask` and `python`.
set -eu
bin=$1
if [ "$2" = 0 ]; then
  "$bin/dask" scheduler --host "tcp://[$TUNL_I6PN_ADDR]" --port 8786 --dashboard-address :8787 &
  exec "$bin/python" - "$3" <<'PYTHON'
import sys, time
from distributed import Client, get_worker
client = Client(f"tcp://{sys.argv[1]}:8786", timeout=60)
client.wait_for_workers(2)
def square(n):
    time.sleep(0.01)
    return get_worker().address, n * n
done = client.gather(client.map(square, range(200), pure=False))
print("sum", sum(n for _, n in done), "by", len({address for address, _ in done}), "workers", flush=True)
client.close()
time.sleep(3600)
PYTHON
fi
exec "$bin/dask" worker "tcp://$3:8786" --host "tcp://[$TUNL_I6PN_ADDR]" --nthreads 1 --no-nanny --local-directory "$PWD/rank$2"
