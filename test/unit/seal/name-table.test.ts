// One address of the seal is one name.
import {describe, expect, test} from 'vitest';
import {NameTable, RESOLVER_ADDRESS} from '../../../src/lib/seal/name-table.js';

describe('addresses for names', () => {
  test('stay the same, and lead back', () => {
    const table = new NameTable();
    const first = table.addressesOf('a.example');
    const second = table.addressesOf('b.example');
    expect(table.addressesOf('a.example')).toEqual(first);
    expect(second).not.toEqual(first);
    for (const address of [first.v4, first.v6, `::ffff:${first.v4}`])
      expect(table.nameOf(address)).toEqual({name: 'a.example'});
    expect(table.nameOf(RESOLVER_ADDRESS)).toBe('unknown');
    expect(table.nameOf('198.18.99.99')).toBe('unknown');
    expect(table.nameOf('fd74:756e:1::ffff')).toBe('unknown');
    for (const other of ['198.19.0.16', 'fd74:756e:2::10', 'fd74:756e:1:0:1::10', '203.0.113.1', 'x'])
      expect(table.nameOf(other)).toBeUndefined();
  });

  test('have a bound: those of the names used least recently are given up, and used again last', () => {
    const table = new NameTable();
    const kept = table.addressesOf('kept.example').v4;
    const lost = table.addressesOf('lost.example').v4;
    for (let at = 0; at < 5_000; at += 1) {
      table.addressesOf(`n${at}.example`);
      table.nameOf(kept);
    }
    expect(table.size).toBe(4_096);
    expect(table.nameOf(kept)).toEqual({name: 'kept.example'});
    expect(table.nameOf(lost)).toBe('unknown');
    const all = new Set<string>();
    for (let at = 0; at < 140_000; at += 1) {
      const {v4} = table.addressesOf(`m${at}.example`);
      if (at < 4_096) all.add(v4);
      expect(v4).not.toBe(RESOLVER_ADDRESS);
      table.nameOf(kept);
    }
    expect(all.size).toBe(4_096);
    expect(table.nameOf(kept)).toEqual({name: 'kept.example'});
    expect(table.size).toBe(4_096);
  });
});
