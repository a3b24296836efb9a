// The addresses of the members on one machine, and of the hub that joins them. Pure.

/** More would need more devices, files and processes than a machine should spend on one command. */
export const MAX_MEMBERS = 32;

/** Both of one member. */
export interface MemberAddresses {
  readonly v6: string;
  /** For programs that know no IPv6. Only members of the same machine reach it. */
  readonly v4: string;
}

/** @param prefix 48 bits, like `fdaa:5137:3ebf`. */
export const memberAddresses = (prefix: string, rank: number): MemberAddresses => ({
  v6: `${prefix}::${(rank + 1).toString(16)}`,
  v4: `100.127.255.${rank + 1}`,
});

/** IPv4 addresses of members. Part of the shared address space, which no public service has. */
export const RANGE4 = '100.127.255.0/24';

/** The hub answers look-ups at these addresses. */
export const hubAddresses = (prefix: string): MemberAddresses => ({
  v6: `${prefix}:ffff::1`,
  v4: '100.127.255.254',
});
