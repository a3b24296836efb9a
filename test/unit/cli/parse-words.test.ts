// The reader of well-spelled command lines beside oclif's: what it takes it reads as oclif does, the rest it leaves.

import {readdirSync} from 'node:fs';
import type {Command} from '@oclif/core';
import {parse} from '@oclif/core/parser';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import Expose from '../../../src/commands/expose.js';
import RelayStart from '../../../src/commands/relay/start.js';
import Ssh from '../../../src/commands/ssh.js';
import {outputFlags} from '../../../src/lib/cli/flags.js';
import {parseWords} from '../../../src/lib/cli/parse-words.js';

const commands = {expose: Expose, 'relay start': RelayStart, ssh: Ssh};

function shapes({args, flags}: Pick<Command.Class, 'args' | 'flags'>): Pick<Command.Class, 'args' | 'flags'> {
  return {args, flags: {...outputFlags, ...flags}};
}

const flagWords = [...Object.keys(Expose.flags), ...Object.keys(RelayStart.flags), ...Object.keys(Ssh.flags)];
const word = fc.oneof(
  fc.constantFrom(...flagWords, 'json', 'quiet', 'nope').map((name) => `--${name}`),
  fc.constantFrom('-q', '-f', '-x', '-qx', '--', '-', '', '-5', '--no-json', '--no-token'),
  fc.constantFrom('8000', 'a', '30s', '20000-20999', 'info', '--relay=https://a', '--json=1', '-q=1', 'a=b'),
);

describe.each(Object.entries(commands))('%s', (_name, command) => {
  test('what it takes it reads as oclif does', async () => {
    const input = shapes(command);
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(word, {maxLength: 6}), async (words) => {
        const [mine, theirs] = await Promise.allSettled([parseWords(words, input), parse([...words], input)]);
        if (mine.status === 'rejected') {
          // A value that its flag refuses: oclif's own complaint may come first, but it complains as well.
          expect(theirs.status).toBe('rejected');
          return;
        }
        if (mine.value === undefined) return;
        taken += 1;
        expect(theirs).toMatchObject({status: 'fulfilled', value: mine.value});
        if (theirs.status === 'fulfilled') {
          expect(Object.keys(theirs.value.flags).sort()).toEqual(Object.keys(mine.value.flags).sort());
        }
      }),
      {numRuns: 500},
    );
    expect(taken).toBeGreaterThan(0);
  });
});

test('the environment counts where a flag names it, and an empty variable does not', async () => {
  const input = shapes(Expose);
  const before = process.env.TUNL_RELAY;
  try {
    process.env.TUNL_RELAY = 'https://r.example';
    expect((await parseWords(['8000'], input))?.flags.relay).toBe('https://r.example');
    expect((await parseWords(['8000', '--relay', 'https://b'], input))?.flags.relay).toBe('https://b');
    process.env.TUNL_RELAY = '';
    expect((await parseWords(['8000'], input))?.flags.relay).toBeUndefined();
  } finally {
    if (before === undefined) delete process.env.TUNL_RELAY;
    else process.env.TUNL_RELAY = before;
  }
});

test('every command is simple enough for it', async () => {
  const folder = new URL('../../../src/commands/', import.meta.url);
  const files = readdirSync(folder, {recursive: true, encoding: 'utf8'}).filter((file) =>
    file.endsWith('.ts'),
  );
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const {default: command} = await import(new URL(file, folder).href);
    const needed = Object.values<{required?: boolean}>(command.args ?? {}).map((each) =>
      each.required ? 'a' : '',
    );
    const words = needed.filter((each) => each !== '');
    expect(await parseWords(words, shapes(command)), file).toBeDefined();
  }
});
