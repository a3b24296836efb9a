// The makers of flags and arguments that oclif has, without oclif: what they make are plain objects, which its help, its
// manifest and its parser read, and `parseWords` too. Loading oclif's own costs more than all the rest of a start.

import type * as args from '@oclif/core/args';
import type * as flags from '@oclif/core/flags';

const asItIs = async <T>(value: T): Promise<T> => value;

export const custom = ((defaults: object) =>
  (options: {multiple?: boolean} = {}) => ({
    parse: asItIs,
    ...defaults,
    ...options,
    input: [],
    multiple: options.multiple ?? false,
    type: 'option',
  })) as unknown as typeof flags.custom;

export const string: typeof flags.string = custom();

export const boolean = ((options: object = {}) => ({
  parse: asItIs,
  ...options,
  allowNo: (options as {allowNo?: boolean}).allowNo ?? false,
  type: 'boolean',
})) as unknown as typeof flags.boolean;

export const argument = ((options: object = {}) => ({
  parse: asItIs,
  ...options,
  input: [],
  type: 'option',
})) as unknown as typeof args.string;
