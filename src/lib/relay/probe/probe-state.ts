// The relay's knowledge of its own reachability: the last probe of its own tunnel through its public name.

/** The legs of a probe, in their order: each needs the ones before it. */
export const PROBE_LEGS = ['dns', 'tcp', 'tls', 'session', 'upstream'] as const;

/**
 * `dns`: the public name has an address. `tcp`: the public port accepts. `tls`: the relay's own certificate is shown there.
 * `session`: the tunnel's agent got the connection. `upstream`: its answer came back.
 */
export type ProbeLeg = (typeof PROBE_LEGS)[number];

export interface ProbeState {
  readonly ok: boolean;
  /** The leg that fails; undefined when all are well. */
  readonly leg: ProbeLeg | undefined;
  /** Why it fails, for people. */
  readonly reason: string | undefined;
  /** When the last probe ended, ms since 1970. */
  readonly at: number;
  /** The times of the legs that went well, ms. */
  readonly ms: Readonly<Partial<Record<ProbeLeg, number>>>;
  /** A probe has gone through since the start of the relay. */
  readonly proven: boolean;
  /**
   * Whether the relay is ready for visitors as far as the probe can tell. True also when the public name has never been
   * reached from this machine, and the same probe goes through at the relay's own port: behind some routers a machine cannot
   * reach its own public address, which says nothing about visitors.
   */
  readonly ready: boolean;
}
