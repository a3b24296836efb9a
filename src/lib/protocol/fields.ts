// Reads fields of a peer's JSON: each function returns the value in its type or throws. Nothing is cast.

import {oneLine} from '../core/one-line.js';

/**
 * The message does not have the form that the protocol specifies. It is caught where messages are parsed and never leaves
 * this layer.
 */
export class MalformedMessage extends Error {}

export type Fields = Record<string, unknown>;

export function parseJsonObject(payload: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    throw new MalformedMessage('not JSON');
  }
  return asObject(value, 'message');
}

export function asObject(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedMessage(`${name} is not an object`);
  }
  return value as Fields;
}

function own(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

export function text(fields: Fields, name: string, maxLength: number): string {
  const value = own(fields, name);
  if (typeof value !== 'string' || value.length > maxLength)
    throw new MalformedMessage(`${name} is not a short text`);
  return value;
}

/** A text that people will see. */
export function prose(fields: Fields, name: string, maxLength: number): string {
  return oneLine(text(fields, name, maxLength));
}

/** A string of exactly `digits` lower-case hex digits. */
export function hex(fields: Fields, name: string, digits: number): string {
  const value = text(fields, name, digits);
  if (value.length !== digits || !/^[0-9a-f]*$/.test(value))
    throw new MalformedMessage(`${name} is not ${digits} hex digits`);
  return value;
}

/** A whole number from `min` to `max`. */
export function whole(fields: Fields, name: string, min: number, max: number): number {
  const value = own(fields, name);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new MalformedMessage(`${name} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

export function flag(fields: Fields, name: string): boolean {
  const value = own(fields, name);
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw new MalformedMessage(`${name} is not true or false`);
  return value;
}

/**
 * `{[name]: value}` if the field is present, `{}` otherwise: `...maybe(fields, 'holder', hex, 32)`.
 *
 * @param read one of the functions above; `more` follows the name.
 */
export function maybe<K extends string, T, More extends readonly unknown[]>(
  fields: Fields,
  name: K,
  read: (fields: Fields, name: K, ...more: More) => T,
  ...more: More
): {[key in K]?: T} {
  const present = own(fields, name) === undefined ? {} : {[name]: read(fields, name, ...more)};
  return present as {[key in K]?: T};
}

export function texts(fields: Fields, name: string, maxCount: number, maxLength: number): string[] {
  const value = own(fields, name);
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > maxCount)
    throw new MalformedMessage(`${name} is not a short list`);
  return value.map((item: unknown) => {
    if (typeof item !== 'string' || item.length > maxLength)
      throw new MalformedMessage(`${name} has an item that is no text`);
    return item;
  });
}

export function oneOf<T extends string>(fields: Fields, name: string, values: readonly T[]): T {
  const value = own(fields, name);
  const found = values.find((each) => each === value);
  if (found === undefined) throw new MalformedMessage(`${name} is none of ${values.join(', ')}`);
  return found;
}
