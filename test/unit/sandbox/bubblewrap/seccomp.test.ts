// The filter of system calls, run instruction by instruction as the kernel would run it.

import {describe, expect, test} from 'vitest';
import {assemble, BPF, type Instruction, RETURN} from '../../../../src/lib/sandbox/bubblewrap/bpf.js';
import {filterProgram, seccompFilter} from '../../../../src/lib/sandbox/bubblewrap/seccomp.js';
import type {Machine} from '../../../../src/lib/sandbox/bubblewrap/syscalls.js';

const ARCH = {x64: 0xc000003e, arm64: 0xc00000b7} as const;
const [EPERM, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT] = [1, 38, 93, 97];

/** The answer of the filter to a call: `allow`, `kill`, or the number of an error. */
function answer(machine: Machine, nr: number, args: readonly number[] = [], arch: number = ARCH[machine]) {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(nr >>> 0, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt(value), 16 + 8 * index);
  const value = run(filterProgram(machine), data);
  if (value === RETURN.allow) return 'allow';
  return value === RETURN.killProcess ? 'kill' : value - RETURN.errno(0);
}

function run(program: readonly Instruction[], data: Buffer): number {
  let word = 0;
  for (let at = 0; ; at += 1) {
    const instruction = program[at];
    if (instruction === undefined) throw new Error('the program runs past its end');
    const {code, k, whenTrue, whenFalse} = instruction;
    if (code === BPF.return) return k;
    if (code === BPF.load) word = data.readUInt32LE(k);
    else if (code === BPF.and) word = (word & k) >>> 0;
    else {
      const holds = code === BPF.jumpIfEqual ? word === k : code === BPF.jumpIfGreater ? word > k : word >= k;
      at += holds ? whenTrue : whenFalse;
    }
  }
}

interface Row {
  what: string;
  x64: number;
  arm64: number;
  args?: number[];
  gets: number | string;
}

const CALLS: Row[] = [
  {what: 'read', x64: 0, arm64: 63, gets: 'allow'},
  {what: 'execve', x64: 59, arm64: 221, gets: 'allow'},
  {what: 'futex', x64: 202, arm64: 98, gets: 'allow'},
  {what: 'openat2', x64: 437, arm64: 437, gets: 'allow'},
  {what: 'clone for a thread', x64: 56, arm64: 220, args: [0x3d0f00], gets: 'allow'},
  {what: 'clone for a process', x64: 56, arm64: 220, args: [0x1200011], gets: 'allow'},
  {what: 'clone with a user namespace', x64: 56, arm64: 220, args: [0x10000011], gets: EPERM},
  {what: 'clone with a network namespace', x64: 56, arm64: 220, args: [0x40000011], gets: EPERM},
  {what: 'clone with a flag above 32 bits', x64: 56, arm64: 220, args: [0x110000011], gets: EPERM},
  {what: 'unshare of files', x64: 272, arm64: 97, args: [0x400], gets: 'allow'},
  {what: 'unshare of users', x64: 272, arm64: 97, args: [0x10000000], gets: EPERM},
  {what: 'unshare of time', x64: 272, arm64: 97, args: [0x80], gets: EPERM},
  {what: 'clone3', x64: 435, arm64: 435, gets: ENOSYS},
  {what: 'io_uring_setup', x64: 425, arm64: 425, gets: ENOSYS},
  {what: 'io_uring_enter', x64: 426, arm64: 426, gets: ENOSYS},
  {what: 'io_uring_register', x64: 427, arm64: 427, gets: ENOSYS},
  {what: 'keyctl', x64: 250, arm64: 219, gets: ENOSYS},
  {what: 'userfaultfd', x64: 323, arm64: 282, gets: ENOSYS},
  {what: 'fsopen', x64: 430, arm64: 430, gets: ENOSYS},
  {what: 'a call of a later kernel', x64: 480, arm64: 480, gets: ENOSYS},
  {what: 'ptrace', x64: 101, arm64: 117, gets: EPERM},
  {what: 'process_vm_writev', x64: 311, arm64: 271, gets: EPERM},
  {what: 'mount', x64: 165, arm64: 40, gets: EPERM},
  {what: 'setns', x64: 308, arm64: 268, gets: EPERM},
  {what: 'bpf', x64: 321, arm64: 280, gets: EPERM},
  {what: 'open_by_handle_at', x64: 304, arm64: 265, gets: EPERM},
  {what: 'finit_module', x64: 313, arm64: 273, gets: EPERM},
  {what: 'kexec_file_load', x64: 320, arm64: 294, gets: EPERM},
  {what: 'personality, query', x64: 135, arm64: 92, args: [0xffffffff], gets: 'allow'},
  {what: 'personality without random addresses', x64: 135, arm64: 92, args: [0x40000], gets: EPERM},
  {what: 'ioctl TCGETS', x64: 16, arm64: 29, args: [0, 0x5401], gets: 'allow'},
  {what: 'ioctl TIOCSTI', x64: 16, arm64: 29, args: [0, 0x5412], gets: EPERM},
  {what: 'ioctl TIOCSTI with high bits', x64: 16, arm64: 29, args: [0, 0x700005412], gets: EPERM},
  {what: 'ioctl TIOCLINUX', x64: 16, arm64: 29, args: [0, 0x541c], gets: EPERM},
  {what: 'a Unix socket', x64: 41, arm64: 198, args: [1, 1, 0], gets: 'allow'},
  {what: 'a TCP socket', x64: 41, arm64: 198, args: [2, 0x80001, 6], gets: 'allow'},
  {what: 'a UDP socket, IPv6', x64: 41, arm64: 198, args: [10, 2, 0], gets: 'allow'},
  {what: 'an MPTCP socket', x64: 41, arm64: 198, args: [2, 1, 262], gets: EPROTONOSUPPORT},
  {what: 'an SCTP socket', x64: 41, arm64: 198, args: [10, 1, 132], gets: EPROTONOSUPPORT},
  {what: 'a route socket', x64: 41, arm64: 198, args: [16, 3, 0], gets: 'allow'},
  {what: 'a netfilter socket', x64: 41, arm64: 198, args: [16, 3, 12], gets: EPROTONOSUPPORT},
  {what: 'a vsock', x64: 41, arm64: 198, args: [40, 1, 0], gets: EAFNOSUPPORT},
  {what: 'a packet socket', x64: 41, arm64: 198, args: [17, 3, 0], gets: EAFNOSUPPORT},
  {what: 'an AF_ALG socket', x64: 41, arm64: 198, args: [38, 5, 0], gets: EAFNOSUPPORT},
  {what: 'a pair of Unix sockets', x64: 53, arm64: 199, args: [1, 1, 0], gets: 'allow'},
  {what: 'a pair of TIPC sockets', x64: 53, arm64: 199, args: [30, 1, 0], gets: EAFNOSUPPORT},
];

describe.each(['x64', 'arm64'] as const)('%s', (machine) => {
  test.each(CALLS)('$what: $gets', ({args, gets, ...row}) => {
    expect(answer(machine, row[machine], args)).toBe(gets);
  });

  test('a program of another machine is killed', () => {
    expect(answer(machine, 0, [], 0x40000003)).toBe('kill');
    expect(answer(machine, 0, [], ARCH[machine === 'x64' ? 'arm64' : 'x64'])).toBe('kill');
  });

  test('calls with the x32 bit do not exist, whatever their number', () => {
    for (const nr of [0, 101, 165, 425, 512, 0x3fffffff, -1])
      expect(answer(machine, (0x40000000 | nr) >>> 0)).toBe(ENOSYS);
  });

  test('it has the form that the kernel reads', () => {
    const bytes = assemble(filterProgram(machine));
    expect(bytes.length / 8).toBe(filterProgram(machine).length);
    // The kernel takes 4,096 instructions at most; and every jump stays inside.
    expect(bytes.length / 8).toBeLessThan(4_096);
    for (const [at, {whenTrue, whenFalse}] of filterProgram(machine).entries())
      expect(at + Math.max(whenTrue, whenFalse)).toBeLessThan(bytes.length / 8);
  });
});

test('other machines have no filter', () => {
  expect(seccompFilter('riscv64')).toBeUndefined();
  expect(seccompFilter('x64')?.length).toBeGreaterThan(100);
});
