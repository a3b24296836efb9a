"""Joins two TUN devices by a link with a delay and a rate: `delay-link.py DEVICE DEVICE DELAY_MS MBIT_PER_S`.

The delay is that of one way. Each way queues what the rate holds up, at most what the link carries in one round trip
(and 256 KiB at the least); more is dropped, as by a router. Prints `ready` when both devices are there."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

# <linux/if_tun.h>
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main():
    one, two, delay_ms, mbit = sys.argv[1:]
    ends = [device(one), device(two)]
    delay, rate = float(delay_ms) / 1e3, float(mbit) * 1e6 / 8
    longest_queue = max(rate * 2 * delay, 256 * 1024) / rate
    print("ready", flush=True)
    under_way = [collections.deque(), collections.deque()]
    free_from = [0.0, 0.0]
    poll = select.poll()
    for fd in ends:
        poll.register(fd, select.POLLIN)

    def take(way, now):
        # Not until it is empty: what is due on the other way must not wait for that.
        for _ in range(64):
            try:
                packet = os.read(ends[way], 65536)
            except BlockingIOError:
                return
            begin = max(free_from[way], now)
            if begin - now > longest_queue:
                continue
            free_from[way] = begin + len(packet) / rate
            under_way[way].append((free_from[way] + delay, packet))

    while True:
        heads = [packets[0][0] for packets in under_way if packets]
        wait_ms = max(0.0, (min(heads) - time.monotonic()) * 1e3) if heads else None
        for fd, _ in poll.poll(wait_ms):
            take(ends.index(fd), time.monotonic())
        now = time.monotonic()
        for way, packets in enumerate(under_way):
            while packets and packets[0][0] <= now:
                _, packet = packets.popleft()
                try:
                    os.write(ends[1 - way], packet)
                except OSError:
                    pass  # The device is down, or takes no more: the packet is lost, as on any link.


main()
