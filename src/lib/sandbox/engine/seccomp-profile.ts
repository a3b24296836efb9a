// The filter of system calls in the form of OCI runtimes. It refuses what the filter for bubblewrap refuses: podman's own one lets
// programs make user namespaces, and trace each other.

import {absentNames, forbiddenNames} from '../bubblewrap/syscalls.js';

interface Argument {
  readonly index: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_GE' | 'SCMP_CMP_MASKED_EQ';
  readonly value: number;
  readonly valueTwo?: number;
}

const EPERM = 1;
const ENOSYS = 38;
const EPROTONOSUPPORT = 93;
const EAFNOSUPPORT = 97;

/** CLONE_NEW* for mounts, cgroups, host name, IPC, users, processes and network. */
const NEW_NAMESPACES = [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/** CLONE_NEWTIME; in clone these bits are part of the exit signal. */
const NEW_TIME = 0x80;
const AF = {unix: 1, inet: 2, inet6: 10, netlink: 16} as const;
/** Families after the last one that is known. */
const MANY = 46;
const DCCP = 33;
/** ICMPv6 is the last protocol that is of use. */
const AFTER_ICMPV6 = 59;
/** TIOCSTI and TIOCLINUX put input into a terminal, or paste its selection. */
const TERMINAL_INPUT = [0x5412, 0x541c];
/** UNAME26 and the 32-bit bit are harmless. */
const HARMLESS_PERSONALITY = 0x20008;
const SIGN = 0x8000_0000;

const is = (index: number, value: number): Argument => ({index, op: 'SCMP_CMP_EQ', value});
const atLeast = (index: number, value: number): Argument => ({index, op: 'SCMP_CMP_GE', value});
const masked = (index: number, value: number, valueTwo: number): Argument => ({
  index,
  op: 'SCMP_CMP_MASKED_EQ',
  value,
  valueTwo,
});
const has = (index: number, bits: number): Argument => masked(index, bits, bits);

const refuse = (names: readonly string[], errnoRet: number, ...args: Argument[]) => ({
  names,
  action: 'SCMP_ACT_ERRNO',
  errnoRet,
  args,
});

/** Conditions on one argument cannot be joined by `and`, so what is refused is enumerated. */
export function seccompProfile(): object {
  const families = Array.from({length: MANY}, (_, family) => family);
  const known: readonly number[] = Object.values(AF);
  const bits = Array.from({length: 31}, (_, bit) => 2 ** bit);
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    // Calls of other kinds, such as 32-bit ones, end the process. Those of the kind x32 are refused by nearly all kernels.
    architectures: [
      ...(process.arch === 'arm64' ? ['SCMP_ARCH_AARCH64'] : ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X32']),
    ],
    syscalls: [
      refuse(absentNames(), ENOSYS),
      refuse(forbiddenNames(), EPERM),
      ...NEW_NAMESPACES.map((flag) => refuse(['clone', 'unshare'], EPERM, has(0, flag))),
      refuse(['unshare'], EPERM, has(0, NEW_TIME)),
      // The query of the current personality has all bits.
      ...bits
        .filter((bit) => (HARMLESS_PERSONALITY & bit) === 0)
        .map((bit) => refuse(['personality'], EPERM, masked(0, SIGN + bit, bit))),
      ...TERMINAL_INPUT.map((request) => refuse(['ioctl'], EPERM, masked(1, 0xffff_ffff, request))),
      ...families
        .filter((family) => !known.includes(family))
        .map((family) => refuse(['socket'], EAFNOSUPPORT, is(0, family))),
      refuse(['socket'], EAFNOSUPPORT, atLeast(0, MANY)),
      ...[AF.inet, AF.inet6].flatMap((family) => [
        refuse(['socket'], EPROTONOSUPPORT, is(0, family), is(2, DCCP)),
        refuse(['socket'], EPROTONOSUPPORT, is(0, family), atLeast(2, AFTER_ICMPV6)),
      ]),
      // NETLINK_ROUTE alone: the list of network interfaces.
      refuse(['socket'], EPROTONOSUPPORT, is(0, AF.netlink), atLeast(2, 1)),
      refuse(['socketpair'], EAFNOSUPPORT, is(0, 0)),
      refuse(['socketpair'], EAFNOSUPPORT, atLeast(0, 2)),
    ],
  };
}
