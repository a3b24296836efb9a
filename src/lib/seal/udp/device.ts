// The device that UDP of a sealed network leaves by: its name, its addresses, and its rules of routing.

/** At most 15 characters. */
export const UDP_DEVICE = 'tunl-udp';
/** The addresses of programs. 198.18.0.0/16 and fd74:756e:1::/112 are for names. */
export const OWN4 = '198.19.0.1';
export const OWN6 = 'fd74:756e:2::1';
/** A datagram to this address shows that all earlier ones have been read. */
export const MARK4 = '198.19.0.2';
export const MARK_PORT = 9;

/** The descriptor of the holder that leads packets to the process that holds the seal, and back. */
export const PACKETS_DESCRIPTOR = 7;

const TABLE = 7400;

/**
 * A function of the holder. Everything else keeps its route to loopback, in the local table; that one has to stand behind the
 * rule for UDP, and is added there before it is taken away from the front. Answers by ICMP come from the destinations, so the kernel wants their
 * way to lead to the device, too. The device needs no address of its link, whose packets would only wake the reader.
 * With SEAL_UDP=members only a private network is behind the device. The kernel prefers an address of the device as source, and
 * members know each other by their own ones. Each datagram to a port without a listener is answered, not one a second. Programs have no
 * right to raw sockets, and `ping` needs none where the group may open sockets for echo.
 */
export const UDP_ROUTES = `udp_routes() {
  ip link set ${UDP_DEVICE} mtu 65535 && ip link set ${UDP_DEVICE} addrgenmode none 2>/dev/null
  ip link set ${UDP_DEVICE} up && ip address add ${OWN4}/32 dev ${UDP_DEVICE} || return 91
  out=default
  [ "$SEAL_UDP" != members ] || out=${MARK4}
  ip route add $out dev ${UDP_DEVICE} table ${TABLE} &&
    ip route add throw 127.0.0.0/8 table ${TABLE} && ip route add throw ${OWN4}/32 table ${TABLE} || return 91
  udp_rules -4 icmp || return 92
  ip -6 address add ${OWN6}/128 dev ${UDP_DEVICE} nodad 2>/dev/null || return 0
  [ "$SEAL_UDP" = members ] || ip -6 route add default dev ${UDP_DEVICE} table ${TABLE} || return 91
  if [ -n "$SEAL_MEMBER" ]; then
    ip -6 route add "$SEAL_MEMBER_PREFIX" dev ${UDP_DEVICE} src "$SEAL_MEMBER" table ${TABLE} &&
      ip -6 route add throw "$SEAL_MEMBER/128" table ${TABLE} || return 91
    echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
    group=$(id -g) && echo "$group $group" >/proc/sys/net/ipv4/ping_group_range
  fi
  ip -6 route add throw ::1/128 table ${TABLE} && ip -6 route add throw ${OWN6}/128 table ${TABLE} || return 91
  udp_rules -6 ipv6-icmp || return 92
}
udp_rules() {
  ip $1 rule add pref 20 lookup local && ip $1 rule del pref 0 &&
    ip $1 rule add pref 10 ipproto udp lookup ${TABLE} && ip $1 rule add pref 11 ipproto $2 lookup ${TABLE}
}`;
