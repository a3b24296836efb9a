// Look-ups on the host's side of a seal.
import {describe, expect, test, vi} from 'vitest';
import {Resolver} from '../../../src/lib/net/name-lookup.js';

describe('look-ups', () => {
  test('of one name at once are one', async () => {
    const resolve = vi.fn(async () => ['192.0.2.1']);
    const resolver = new Resolver(resolve);
    expect(await Promise.all([resolver.find('a.example'), resolver.find('a.example')])).toEqual([
      ['192.0.2.1'],
      ['192.0.2.1'],
    ]);
    expect(await resolver.find('a.example')).toEqual(['192.0.2.1']);
    expect(resolve).toHaveBeenCalledTimes(1);
  });

  test('run a few at a time, and wait in a bounded line', async () => {
    const open: (() => void)[] = [];
    const resolver = new Resolver(() => new Promise((resolve) => open.push(() => resolve([]))));
    const all = Array.from({length: 300}, (_, at) => resolver.find(`n${at}.example`));
    const settled = Promise.allSettled(all);
    expect(open).toHaveLength(16);
    while (open.length > 0) {
      open.shift()?.();
      await new Promise(setImmediate);
    }
    const states = (await settled).map(({status}) => status);
    expect(states.filter((status) => status === 'fulfilled')).toHaveLength(16 + 256);
  });

  test('that fail are told to each who asked', async () => {
    const resolver = new Resolver(() => Promise.reject(new Error('no server')));
    await expect(resolver.find('a.example')).rejects.toThrow('no server');
    await expect(resolver.find('a.example')).rejects.toThrow('no server');
  });

  test('of localhost need no server', async () => {
    expect(await new Resolver().find('localhost')).toEqual(['127.0.0.1', '::1']);
  });
});
