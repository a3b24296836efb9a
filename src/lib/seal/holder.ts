// The text of the holder: a shell that keeps the namespaces, and has the capabilities to set them up. Nothing of a sandbox
// runs in it. It ends with its stdin, so also when the process that holds the seal is killed.

import {PACKETS_DESCRIPTOR, UDP_DEVICE, UDP_ROUTES} from './udp/device.js';

/** Debian keeps `ip` and `nft` where ordinary users do not look. */
export const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The words that the holder understands, one a line. It answers each with the word and an exit code.
 * `open`: the redirect, the listeners and the routes, for the first time. `routes`, `none`: with and without a way out.
 * `udp`: UDP leaves by its device. `dial`: starts the program that dials inside. `here`: nothing. `missed`: the ports for `missed.ts` come after the exit code.
 */
export type HolderWord = 'open' | 'routes' | 'none' | 'udp' | 'dial' | 'here' | 'missed';

/** The descriptor of the holder that has /etc/hosts of a member of a private network. */
export const HOSTS_DESCRIPTOR = 6;

/** The name of a holder in the namespaces of a container. */
export const OF_CONTAINER = 'tunl-seal-of-container';

/** The words of a shell whose text is in `$SEAL_TEXT`: programs inside see them with `ps`. */
export const RUN_TEXT = 'eval "$SEAL_TEXT"';

/**
 * `$1` is Node, `$2` the program that makes the listeners, `$3` the one that dials, `$4` the one that has the device for UDP. The ruleset comes on descriptor 4.
 * Only the program that dials keeps descriptor 5 open, so its end is seen there. Both speak on the IPC channel, one after the other.
 * Only the program for UDP keeps descriptor 7 open, and it has no IPC channel.
 * In a process namespace (with its own text in `$SEAL_HOLDER`) the end of either of them is that of the holder.
 *
 * The folders belong to resolvers that answer over Unix sockets, which cross network namespaces: a look-up there would be one
 * in the host's network. A container has files of its own, and the holder of its seal keeps those of the machine.
 *
 * A member of a private network has a device with its address. Programs look for it by its name, so loopback is not enough.
 * The peer of the pair leads nowhere. Without `addrgenmode none` the device gets a link-local address, which some programs
 * prefer. `ip_nonlocal_bind` lets the program that dials take the address of another member. The file system of /etc/hosts
 * ends with the namespace, so nothing is left when all are killed.
 */
export const HOLDER = `
unset SEAL_TEXT
resolv_conf() {
  real=$(readlink -m /etc/resolv.conf) || return
  hidden=/run/systemd/resolve
  [ -z "$SEAL_HIDES_RUN" ] || hidden=/run
  mount -t tmpfs -o size=4k,mode=755 none /tmp || return
  echo "nameserver $SEAL_RESOLVER" > /tmp/resolv.conf || return
  if [ -e "$real" ]; then mount --bind /tmp/resolv.conf "$real" || return
  elif [ "\${real#$hidden/}" != "$real" ]; then
    # A link into a folder that is empty here.
    mkdir -p "$(dirname "$real")" && cp /tmp/resolv.conf "$real" || return
  fi
  umount /tmp
}
ip link set lo up || exit 70
if [ "$0" = ${OF_CONTAINER} ]; then
  [ "$(ip -o link show up | wc -l)" = 1 ] || { echo 'it has a network device' >&2; exit 76; }
else
  if [ "$SEAL_HIDES_RUN" ]; then mount -t tmpfs -o size=4k,mode=755 none /run || exit 71; fi
  for folder in /run/systemd/resolve /run/nscd /var/run/nscd /run/avahi-daemon; do
    if [ -d "$folder" ]; then mount -t tmpfs -o size=4k,mode=755 none "$folder" || exit 71; fi
  done
  if [ "$SEAL_RESOLVER" ]; then resolv_conf || exit 77; fi
fi
member() {
  umask 022
  [ -e /proc/net/if_inet6 ] || return 81
  echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
  ip link add i6pn type veth peer name i6pn-end || return 82
  for device in i6pn i6pn-end; do
    ip link set "$device" addrgenmode none && ip link set "$device" up || return 82
  done
  ip -6 address add "$SEAL_MEMBER/48" dev i6pn nodad || return 81
  ip -6 route replace local "$SEAL_MEMBER_PREFIX" dev lo || return 81
  echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind || return 83
  hostname "$SEAL_MEMBER_NAME" || return 83
  mount -t tmpfs -o size=256k,mode=755 none /tmp || return 84
  : >/tmp/hosts && mount --bind /tmp/hosts /etc/hosts && umount /tmp || return 84
  exec ${HOSTS_DESCRIPTOR}<>/etc/hosts
}
routes() {
  ip route replace local default dev lo || return 72
  ip -6 route replace local default dev lo 2>/dev/null || true
}
if [ -n "$SEAL_MEMBER" ]; then
  member || { code=$?; echo "up $code"; exit $code; }
fi
${UDP_ROUTES}
udp_program() {
  unset NODE_CHANNEL_FD NODE_CHANNEL_SERIALIZATION_MODE
  [ -n "$SEAL_HOLDER" ] || exec "$1" "$2" ${UDP_DEVICE}
  "$1" "$2" ${UDP_DEVICE}
  # Without a device, or without tunl, it ends in order.
  case $? in 0 | 143) ;; *) kill -9 $$ ;; esac
}
ports() {
  nft list set inet tunl_seal "missed_$1" | tr -cd '0-9,{}=a-z' | sed 's/.*elements={//; t found; d; : found; s/}.*//'
}
echo "up 0 $$"
while read -r word; do
  case $word in
    open)
      [ -z "$SEAL_UDP" ] || udp_program "$1" "$4" 3>&- 4<&- 5>&- &
      exec ${PACKETS_DESCRIPTOR}>&-
      nft -f - <&4 & rules=$!
      "$1" "$2" & doors=$!
      wait $rules || { echo "open 73"; wait $doors; continue; }
      wait $doors || { echo "open 74"; continue; }
      routes; echo "open $?" ;;
    routes) routes; echo "routes $?" ;;
    udp) udp_routes >&2; echo "udp $?" ;;
    none)
      ip route del local default dev lo 2>/dev/null; ip -6 route del local default dev lo 2>/dev/null
      echo "none 0" ;;
    dial)
      if [ -n "$SEAL_HOLDER" ]; then ( "$1" "$3"; kill -9 $$ ) &
      else "$1" "$3" & exec 5>&-; fi
      echo "dial 0" ;;
    here) echo "here 0" ;;
    missed) echo "missed 0 udp=$(ports udp) local=$(ports local)" ;;
  esac
done
# The process that held the seal is gone. Programs that outlive it would run on without a network.
[ "$0" != ${OF_CONTAINER} ] && [ -z "$SEAL_HOLDER" ] || exit 0
for round in 1 2 3 4 5 6 7 8 9; do
  left=
  for each in /proc/[0-9]*; do
    [ "$each/ns/net" -ef /proc/$$/ns/net ] && [ "$each" != "/proc/$$" ] || continue
    kill -9 "\${each#/proc/}" 2>/dev/null
    left=1
  done
  [ "$left" ] || exit 0
done
`;
