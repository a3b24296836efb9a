// Classic BPF programs as bytes: the few instructions that a seccomp filter needs.

/** One instruction. `whenTrue` and `whenFalse` are how many instructions a jump skips, 255 at most. */
export interface Instruction {
  readonly code: number;
  readonly whenTrue: number;
  readonly whenFalse: number;
  readonly k: number;
}

export const BPF = {
  /** Loads the 32-bit word at offset k of `struct seccomp_data`. */
  load: 0x20,
  and: 0x54,
  jumpIfEqual: 0x15,
  jumpIfGreater: 0x25,
  jumpIfAtLeast: 0x35,
  return: 0x06,
} as const;

const instruction = (code: number, k: number, whenTrue = 0, whenFalse = 0): Instruction => ({
  code,
  whenTrue,
  whenFalse,
  k: k >>> 0,
});

/** Offsets in `struct seccomp_data`. Both machines are little-endian, so the low half of an argument comes first. */
export const DATA = {nr: 0, arch: 4, argument: (index: number): number => 16 + index * 8} as const;

export const RETURN = {
  allow: 0x7fff0000,
  killProcess: 0x80000000,
  errno: (errno: number): number => 0x00050000 | errno,
} as const;

export const load = (offset: number): Instruction => instruction(BPF.load, offset);
export const and = (mask: number): Instruction => instruction(BPF.and, mask);
export const answer = (value: number): Instruction => instruction(BPF.return, value);

/** Runs `then` if the loaded word is one of these; `then` must end in a return. */
export function ifOneOf(values: readonly number[], then: readonly Instruction[]): Instruction[] {
  return values.flatMap((value) => [instruction(BPF.jumpIfEqual, value, 0, then.length), ...then]);
}

/** Runs `then` unless the loaded word is one of these. */
export function unlessOneOf(values: readonly number[], then: readonly Instruction[]): Instruction[] {
  const tests = values.map((value, index) =>
    instruction(BPF.jumpIfEqual, value, values.length - 1 - index + then.length, 0),
  );
  return [...tests, ...then];
}

export function ifGreater(value: number, then: readonly Instruction[]): Instruction[] {
  return [instruction(BPF.jumpIfGreater, value, 0, then.length), ...then];
}

export function ifAtLeast(value: number, then: readonly Instruction[]): Instruction[] {
  return [instruction(BPF.jumpIfAtLeast, value, 0, then.length), ...then];
}

/** The form that the kernel and `bwrap --seccomp` read: an array of `struct sock_filter`. */
export function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, {code, whenTrue, whenFalse, k}] of program.entries()) {
    if (whenTrue > 255 || whenFalse > 255) throw new RangeError('a jump is too long');
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(k, index * 8 + 4);
  }
  return bytes;
}
