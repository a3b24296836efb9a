// A member of a private network, as the other members see it.

/** The way to a member: this one itself, a member on the same machine, an address of its machine, or the relay. */
export type MemberPath = 'self' | 'machine' | 'direct' | 'relay-tcp' | 'relay';

export interface Member {
  readonly name: string;
  readonly address: string;
  /** The members' numbers grow in the order in which they joined. */
  readonly serial: number;
  /** Whether it takes connections. */
  readonly accepts: boolean;
  /** Its words for all others. */
  readonly state: Readonly<Record<string, unknown>>;
  readonly path: MemberPath;
  readonly rttMs?: number;
}
