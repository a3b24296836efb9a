// Cuts bytes into pieces of given sizes, repeatedly: a reader must not see the difference.
import fc from 'fast-check';

export const sizes: fc.Arbitrary<number[]> = fc.array(
  fc.oneof(fc.integer({min: 1, max: 12}), fc.integer({min: 1, max: 5_000})),
  {minLength: 1, maxLength: 12},
);

/** Copies, like the chunks of a carrier: the reader may keep views. */
export function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = cuts.length === 0 ? bytes.length : (cuts[i % cuts.length] ?? 1);
    found.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return found;
}
