// `cluster`, `runCluster` and `joinCluster`: one program on several members, of this machine or of several.

import type {JoinClusterOptions} from './join-options.js';
import type {Cluster} from './local.js';
import type {ClusterEnd, ClusterOptions} from './options.js';

/**
 * Starts a program on several members, and resolves when all have begun. Each member has an IPv6 address, names and a host
 * name of its own; they are joined in the kernel, and need no relay. When one fails, all end.
 *
 * @param argv the program and its arguments. In each word `{size}`, `{rank}`, `{master}` and `{addrs}` are replaced.
 * @throws TunlError CLUSTER_INVALID, CLUSTER_UNAVAILABLE, CLUSTER_INCOMPLETE; with `expose` the errors of `forward`
 */
export async function cluster(argv: readonly string[], options: ClusterOptions): Promise<Cluster> {
  const {LocalCluster} = await import('./local.js');
  const opened = new LocalCluster(argv, options);
  await opened.started;
  return opened;
}

/**
 * Runs a program on several members to its end. A failure of the program is no error: `exitCode` is that of the first member
 * that failed.
 *
 * @throws TunlError as `cluster`, and CLUSTER_LOST
 */
export async function runCluster(argv: readonly string[], options: ClusterOptions): Promise<ClusterEnd> {
  const {LocalCluster} = await import('./local.js');
  return await new LocalCluster(argv, options).ended;
}

/**
 * Runs a program as this machine's member of a cluster over several machines, to its end. It starts when all members have
 * joined, each by a call like this one, and ends with them.
 *
 * @throws TunlError CLUSTER_INVALID, CLUSTER_INCOMPLETE, CLUSTER_LOST, SEAL_UNAVAILABLE, RELAY_NEEDED, NOT_ALLOWED, or the reason
 * why there is no relay (RELAY_*, TOKEN_*)
 */
export async function joinCluster(argv: readonly string[], options: JoinClusterOptions): Promise<ClusterEnd> {
  const {JoinedCluster} = await import('./joined.js');
  return await new JoinedCluster(argv, options).ended;
}
