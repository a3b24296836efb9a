// The texts of the shells that set up the network of a machine's members. The first one is process 1 of a process namespace:
// it ends with its stdin, so also when tunl is killed, and the kernel then kills everything inside.

import {hubAddresses, memberAddresses, RANGE4} from './addresses.js';

/** Codes of the answers. */
export const NO_LOOPBACK = 70;
export const NO_MOUNT = 71;
export const NO_LINK = 72;
export const NO_RULES = 73;
export const NO_LISTENERS = 74;
export const NO_IPV6 = 77;

/** Both sides of a link know the other's hardware address, so nobody has to ask for one. */
const mac = (side: 'hub' | 'member', rank: number): string =>
  `02:00:00:00:0${side === 'hub' ? 0 : 1}:${rank.toString(16).padStart(2, '0')}`;

/** As on loopback. */
const MTU = 65_535;
/** Hop of all routes of a member: the hub's side of its link. */
const GATEWAY = 'fe80::1';

export interface HolderPlan {
  readonly size: number;
  readonly prefix: string;
  /** False: members reach one another, and nothing else. */
  readonly hasWayOut: boolean;
}

/**
 * `$0` members, `"$@"` the program that makes the listeners. The ruleset comes on descriptor 4, the text of a member's shell
 * in `$MEMBER`. It prints `up CODE`, and answers `link`, once all members have reported, with `link CODE`.
 *
 * At its end the shell waits for `cat`, and meanwhile for every process that has lost its parent, so none stays as a zombie. A program
 * inside may kill `cat`, but not process 1.
 *
 * The folders belong to resolvers that answer over Unix sockets, which cross network namespaces. A resolv.conf that names a
 * resolver of this machine's loopback would lead nowhere. No file is made where the machine would see it.
 */
export const HUB_HOLDER = `
[ -d /proc/sys/net/ipv6 ] || exit ${NO_IPV6}
ip link set lo up || exit ${NO_LOOPBACK}
conf=$(readlink -f /etc/resolv.conf)
for folder in /run/systemd/resolve /run/nscd /var/run/nscd; do
  if [ -d "$folder" ]; then mount -t tmpfs -o size=16k,mode=755 none "$folder" || exit ${NO_MOUNT}; fi
done
if [ -n "$RESOLVER" ] && [ -n "$conf" ]; then
  kept=$(grep -E '^(search|domain|options)' "$conf" 2>/dev/null)
  mount -t tmpfs -o size=64k,mode=755 none /tmp || exit ${NO_MOUNT}
  printf 'nameserver %s\\n%s\\n' "$RESOLVER" "$kept" > /tmp/resolv.conf
  if [ -e "$conf" ]; then mount --bind /tmp/resolv.conf "$conf"
  else case "$conf" in /run/systemd/resolve/*) cp /tmp/resolv.conf "$conf" ;; esac
  fi
  umount /tmp || exit ${NO_MOUNT}
fi
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding && echo 1 > /proc/sys/net/ipv4/ip_forward || exit ${NO_LINK}
ip addr add $HUB4/32 dev lo && ip -6 addr add $HUB6/128 dev lo nodad || exit ${NO_LINK}
rank=0
while [ $rank -lt $0 ]; do
  unshare --net --uts --mount -- /bin/sh -c "$MEMBER" $rank 3<&- 4<&- &
  rank=$((rank+1))
done
if [ -n "$RESOLVER" ]; then "$@" & doors=$!; fi
unset MEMBER
echo up 0
read -r word || exit
code=0
printf '%s\\n' "$LINKS" | ip -batch - || code=${NO_LINK}
if [ -n "$RESOLVER" ]; then
  # All addresses but those of members are the hub’s own, so what members send there arrives at the listeners.
  ip route add local default dev lo table main && ip -6 route add local default dev lo table main || code=${NO_LINK}
  nft -f - <&4 || code=${NO_RULES}
  wait $doors || code=${NO_LISTENERS}
fi
echo "link $code"
until cat 3<&- 4<&- >/dev/null; do :; done
`;

/**
 * `$0` rank. It prints `member RANK PID`, or `failed RANK CODE`.
 *
 * /tmp is covered for a moment only: files that are bound elsewhere live on. Programs look for devices in /sys, which is that
 * of the machine; control groups must stay in it.
 */
export const MEMBER_HOLDER = `
rank=$0
fail() { echo "failed $rank $1"; exit; }
hostname rank$rank || fail ${NO_LINK}
mount -t tmpfs -o size=64k,mode=755 none /tmp || fail ${NO_MOUNT}
{ printf '%s\\n' "$HOSTS"; eval "echo \\"\\$SELF_$rank i6pn.tunl.internal i6pn.modal.local\\""; cat /etc/hosts 2>/dev/null; } > /tmp/hosts
if [ -e /etc/hosts ]; then mount --bind /tmp/hosts /etc/hosts || fail ${NO_MOUNT}; fi
mkdir /tmp/sys
if mount -t sysfs none /tmp/sys 2>/dev/null; then
  for folder in class/net devices/virtual/net; do mount --bind /tmp/sys/$folder /sys/$folder 2>/dev/null; done
  umount /tmp/sys
fi
umount /tmp || fail ${NO_MOUNT}
eval "printf '%s\\\\n' \\"\\$DEVICES_$rank\\"" | ip -batch - || fail ${NO_LINK}
echo "member $rank $$"
exec sleep 2147483647 </dev/null >/dev/null 2>&1
`;

/** The variables of both shells. */
export function holderEnv(
  {size, prefix, hasWayOut}: HolderPlan,
  hosts: string,
): Readonly<Record<string, string>> {
  const ranks = Array.from({length: size}, (_, rank) => rank);
  const selves = ranks.map((rank) => [`SELF_${rank}`, memberAddresses(prefix, rank).v6]);
  const devices = ranks.map((rank) => [`DEVICES_${rank}`, memberDevices(prefix, rank, hasWayOut)]);
  const hub = hubAddresses(prefix);
  return {
    MEMBER: MEMBER_HOLDER,
    HUB4: hub.v4,
    HUB6: hub.v6,
    HOSTS: hosts,
    LINKS: hubLinks(prefix, ranks),
    ...(hasWayOut && {RESOLVER: hub.v4}),
    ...Object.fromEntries([...selves, ...devices]),
  };
}

/** Input of `ip -batch`, in the namespace of a member. The other end goes to the hub, which has process 1. */
function memberDevices(prefix: string, rank: number, hasWayOut: boolean): string {
  const {v4, v6} = memberAddresses(prefix, rank);
  const via = `via inet6 ${GATEWAY} dev i6pn src ${v4}`;
  return [
    'link set lo up',
    `link add i6pn address ${mac('member', rank)} mtu ${MTU} type veth peer name m${rank} address ${mac('hub', rank)} mtu ${MTU} netns 1`,
    // Programs that are told to use this device take its first address: it has no other.
    'link set i6pn addrgenmode none',
    `addr add ${v6}/128 dev i6pn nodad`,
    `addr add ${v4}/32 dev lo`,
    'link set i6pn up',
    `neigh replace ${GATEWAY} lladdr ${mac('hub', rank)} dev i6pn nud permanent`,
    `route add ${hasWayOut ? '::/0' : `${prefix}::/48`} via ${GATEWAY} dev i6pn src ${v6}`,
    `route add ${hasWayOut ? '0.0.0.0/0' : RANGE4} ${via}`,
  ].join('\n');
}

/** Input of `ip -batch`, in the namespace of the hub. */
function hubLinks(prefix: string, ranks: readonly number[]): string {
  const {v4, v6} = hubAddresses(prefix);
  return [
    ...ranks.flatMap((rank) => {
      const member = memberAddresses(prefix, rank);
      const device = `dev m${rank}`;
      const neighbour = (address: string) =>
        `neigh replace ${address} lladdr ${mac('member', rank)} ${device} nud permanent`;
      return [
        `link set m${rank} addrgenmode none`,
        `link set m${rank} up`,
        neighbour(member.v6),
        neighbour(member.v4),
        `route add ${member.v6}/128 ${device} src ${v6}`,
        `route add ${member.v4}/32 ${device} src ${v4}`,
      ];
    }),
  ].join('\n');
}
