// The things that a program learns about its cluster: words of its command, variables, and names. Pure.

export interface ClusterFacts {
  /** The id of a cluster on one machine, or its name. */
  readonly id: string;
  /** IPv6 addresses by rank. */
  readonly addresses: readonly string[];
  readonly masterPort: number;
}

/** The interface with the member's address. */
const INTERFACE = 'i6pn';

/** The name of a member inside the cluster. */
export const memberName = (id: string, rank: number): string => `rank${rank}.${id}.tunl.internal`;

/**
 * The lines of /etc/hosts that all members share. The name that is unique comes first: programs ask for the first name of
 * their own address, and give it to others.
 */
export function hostsOf({id, addresses}: Pick<ClusterFacts, 'id' | 'addresses'>): string {
  return [
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    ...addresses.map((address, rank) => `${address} ${memberName(id, rank)} rank${rank}`),
  ].join('\n');
}

/** The members of a cluster over several machines, with their names inside. */
export const hostsByRank = ({
  addresses,
}: Pick<ClusterFacts, 'addresses'>): {name: string; address: string}[] =>
  addresses.map((address, rank) => ({name: `rank${rank}`, address}));

/** A name, because a program that adds `:PORT` to an IPv6 address gets none that works. */
const masterOf = ({id}: ClusterFacts): string => memberName(id, 0);

/** Replaces `{size}`, `{rank}`, `{master}` and `{addrs}`; other braces stay as they are. */
export function wordsFor(words: readonly string[], rank: number, facts: ClusterFacts): string[] {
  const values: Readonly<Record<string, string>> = {
    size: String(facts.addresses.length),
    rank: String(rank),
    master: masterOf(facts),
    addrs: facts.addresses.join(','),
  };
  return words.map((word) => word.replace(/\{(size|rank|master|addrs)\}/g, (_, key) => values[key] ?? ''));
}

/** `RANK` and `WORLD_SIZE` count members. Programs that start several processes for each, like torchrun, set their own. */
export function variablesFor(rank: number, facts: ClusterFacts): Readonly<Record<string, string>> {
  const {id, addresses, masterPort} = facts;
  const size = String(addresses.length);
  return {
    RANK: String(rank),
    NODE_RANK: String(rank),
    WORLD_SIZE: size,
    NNODES: size,
    LOCAL_RANK: '0',
    LOCAL_WORLD_SIZE: '1',
    MASTER_ADDR: masterOf(facts),
    MASTER_PORT: String(masterPort),
    TUNL_CLUSTER_ID: id,
    TUNL_CLUSTER_SIZE: size,
    TUNL_CLUSTER_RANK: String(rank),
    TUNL_CLUSTER_ADDRS: addresses.join(','),
    TUNL_I6PN_ADDR: addresses[rank] ?? '',
    GLOO_SOCKET_IFNAME: INTERFACE,
    NCCL_SOCKET_IFNAME: INTERFACE,
    TP_SOCKET_IFNAME: INTERFACE,
    NCCL_SOCKET_FAMILY: 'AF_INET6',
    // Members of one machine have one boot id, and NCCL would take them for one host.
    NCCL_HOSTID: `${id}-${rank}`,
  };
}
