// The seccomp filter of a sandbox: what is known to be dangerous or of no use is refused, the rest is allowed. It stands
// behind namespaces and lost capabilities, and keeps rarely used code of the kernel out of reach.

import {
  and,
  answer,
  assemble,
  DATA,
  type Instruction,
  ifAtLeast,
  ifGreater,
  ifOneOf,
  load,
  RETURN,
  unlessOneOf,
} from './bpf.js';
import {absentCalls, callNumber, forbiddenCalls, LAST_KNOWN_CALL, type Machine} from './syscalls.js';

const AUDIT_ARCH: Readonly<Record<Machine, number>> = {x64: 0xc000003e, arm64: 0xc00000b7};

const EPERM = 1;
const ENOSYS = 38;
const EPROTONOSUPPORT = 93;
const EAFNOSUPPORT = 97;

/** CLONE_NEW* for mounts, cgroups, host name, IPC, users, processes and network. */
const NEW_NAMESPACES = 0x7e020000;
/** CLONE_NEWTIME; in clone these bits are part of the exit signal. */
const NEW_TIME = 0x80;

const AF = {unix: 1, inet: 2, inet6: 10, netlink: 16} as const;
/** Default, ICMP, TCP, UDP, ICMPv6. */
const IP_PROTOCOLS = [0, 1, 6, 17, 58];
/** NETLINK_ROUTE: the list of network interfaces. */
const NETLINK_PROTOCOLS = [0];

/** ioctl requests that put input into a terminal, or paste its selection: TIOCSTI, TIOCLINUX. */
const TERMINAL_INPUT = [0x5412, 0x541c];

/** Linux, UNAME26, both with the 32-bit bit, and the query. */
const PERSONALITIES = [0, 0x8, 0x20000, 0x20008, 0xffffffff];

const errno = (code: number): Instruction => answer(RETURN.errno(code));
const ALLOW = answer(RETURN.allow);
const NUMBER = load(DATA.nr);

/** @returns the bytes for `bwrap --seccomp`, or undefined: there is no filter for this machine. */
export function seccompFilter(machine: string): Buffer | undefined {
  return machine === 'x64' || machine === 'arm64' ? assemble(filterProgram(machine)) : undefined;
}

export function filterProgram(machine: Machine): Instruction[] {
  const when = (call: Parameters<typeof callNumber>[0], then: readonly Instruction[]) =>
    ifOneOf([callNumber(call, machine)], then);
  const family = [load(DATA.argument(0))];
  const protocol = (allowed: readonly number[]) => [
    load(DATA.argument(2)),
    ...unlessOneOf(allowed, [errno(EPROTONOSUPPORT)]),
    ALLOW,
  ];
  return [
    load(DATA.arch),
    ...unlessOneOf([AUDIT_ARCH[machine]], [answer(RETURN.killProcess)]),
    NUMBER,
    // The x32 calls have bit 30 set; a number above all known ones is a call of a later kernel.
    ...ifAtLeast(0x40000000, [errno(ENOSYS)]),
    ...ifGreater(LAST_KNOWN_CALL, [errno(ENOSYS)]),
    ...ifOneOf(absentCalls(machine), [errno(ENOSYS)]),
    ...ifOneOf(forbiddenCalls(machine), [errno(EPERM)]),
    ...when('clone', refuseFlags(NEW_NAMESPACES)),
    ...when('unshare', refuseFlags(NEW_NAMESPACES | NEW_TIME)),
    ...when('personality', [load(DATA.argument(0)), ...unlessOneOf(PERSONALITIES, [errno(EPERM)]), ALLOW]),
    ...when('ioctl', [load(DATA.argument(1)), ...ifOneOf(TERMINAL_INPUT, [errno(EPERM)]), ALLOW]),
    ...when('socketpair', [...family, ...unlessOneOf([AF.unix], [errno(EAFNOSUPPORT)]), ALLOW]),
    ...when('socket', [
      ...family,
      ...ifOneOf([AF.unix], [ALLOW]),
      ...ifOneOf([AF.inet, AF.inet6], protocol(IP_PROTOCOLS)),
      ...ifOneOf([AF.netlink], protocol(NETLINK_PROTOCOLS)),
      errno(EAFNOSUPPORT),
    ]),
    ALLOW,
  ];
}

/** Refuses the call if its first argument has one of these bits. */
function refuseFlags(flags: number): Instruction[] {
  return [load(DATA.argument(0)), and(flags), ...unlessOneOf([0], [errno(EPERM)]), ALLOW];
}
