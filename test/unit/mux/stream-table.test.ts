// The table of streams by id.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {StreamTable} from '../../../src/lib/mux/stream-table.js';
import {MiB} from '../../helpers/bytes.js';
import {leftOf} from '../../helpers/minor-collection.js';

const streamOf = (id: number) => ({id}) as Stream;

test('it has the same entries in the same order as a Map', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({min: -40, max: 40}), {maxLength: 300}), (ids) => {
      const table = new StreamTable();
      const model = new Map<number, Stream>();
      for (const id of ids) {
        if (id > 0 && !model.has(id)) {
          const stream = streamOf(id);
          model.set(id, stream);
          table.add(stream);
        } else {
          model.delete(-id);
          table.delete(-id);
        }
        expect([table.size, table.get(Math.abs(id))]).toEqual([model.size, model.get(Math.abs(id))]);
        expect(table.all()).toEqual([...model.values()]);
      }
      table.clear();
      expect([table.size, table.all(), table.get(1)]).toEqual([0, [], undefined]);
    }),
  );
});

test('a minor collection frees removed streams', () => {
  const table = new StreamTable();
  const left = leftOf((member, id) => {
    table.add(Object.assign(member, {id}) as unknown as Stream);
    return () => table.delete(id);
  });
  expect(left).toBeLessThan(4 * MiB);
});
