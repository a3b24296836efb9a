# A member of a cluster that looks at itself and at all others, and prints what it has seen as a line of JSON.
import errno, json, os, socket, subprocess, threading, time

rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def retry(what):
    for _ in range(400):
        try:
            return what()
        except OSError:
            time.sleep(0.05)
    return what()


def listen(port, answer):
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    server.listen(64)

    def serve():
        while True:
            connection, peer = server.accept()
            answer(connection, peer)

    threading.Thread(target=serve, daemon=True).start()


def say_peer(connection, peer):
    connection.sendall(peer[0].encode())
    connection.close()


listen(9000, say_peer)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::", 9001))


def echo():
    while True:
        data, peer = udp.recvfrom(2000)
        udp.sendto(data, peer)


threading.Thread(target=echo, daemon=True).start()
done = []
listen(9002, lambda connection, _: done.append(connection))


def seen_by(other):
    connection = retry(lambda: socket.create_connection(("rank%d" % other, 9000), 5))
    return connection.makefile().read()


def datagram(other):
    client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    client.settimeout(1)

    def ask():
        client.sendto(b"ping", ("rank%d" % other, 9001))
        return client.recv(100).decode()

    return retry(ask)


def refusal(host):
    try:
        socket.create_connection((host, 9), 5)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


status = open("/proc/self/status").read()
others = [each for each in range(size) if each != rank]
facts = {
    "rank": rank,
    "uid": os.getuid(),
    "capabilities": [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapAmb"))],
    "noNewPrivs": "NoNewPrivs:\t1" in status,
    "host": socket.gethostname(),
    "name": socket.getfqdn(),
    "own": [socket.getaddrinfo(name, None)[0][4][0] for name in ("i6pn.tunl.internal", "i6pn.modal.local", os.environ["MASTER_ADDR"])],
    "devices": sorted(os.listdir("/sys/class/net")),
    "seenAs": [seen_by(other) for other in others],
    "datagrams": [datagram(other) for other in others],
    "closed": [refusal("rank%d" % other) for other in others],
    "folder": os.getcwd(),
    "mounts": subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode != 0,
    "variables": {name: os.environ.get(name) for name in os.environ if name.startswith(("TUNL_", "NCCL_", "GLOO_", "TP_", "MASTER_")) or name in ("NODE_RANK", "NNODES", "LOCAL_RANK")},
}
print(json.dumps(facts), flush=True)
# Nobody leaves before all have looked.
if rank == 0:
    while len(done) < size - 1:
        time.sleep(0.02)
    for connection in done:
        connection.close()
else:
    retry(lambda: socket.create_connection(("rank0", 9002), 5)).recv(1)
