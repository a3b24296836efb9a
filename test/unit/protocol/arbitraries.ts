// Shared by tests of messages: texts that the parser leaves unchanged, and messages with an error.
import fc from 'fast-check';

/** Printable text that begins and ends with a visible character. */
export const plainText = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .string({unit: 'grapheme', maxLength: Math.min(maxLength, 30)})
    .map((each) => each.replace(/[\p{C}\p{Z}]/gu, '').slice(0, maxLength))
    .filter((each) => each.isWellFormed());

export const optionally = <K extends string, T>(
  name: K,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<{[key in K]?: T}> =>
  fc
    .option(value, {nil: undefined})
    .map((each) => (each === undefined ? {} : {[name]: each}) as {[key in K]?: T});

/** A valid message with one field replaced by any JSON, or removed. */
export const mangled = (messages: fc.Arbitrary<object>): fc.Arbitrary<unknown> =>
  fc.tuple(messages, fc.nat(), fc.option(fc.jsonValue(), {nil: undefined})).map(([message, which, value]) => {
    const names = Object.keys(message);
    const name = names[which % names.length] ?? 'type';
    return {...message, [name]: value};
  });
