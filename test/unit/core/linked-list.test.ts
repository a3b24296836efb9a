// A list whose members are often added and removed: its order, and what the garbage collector can free.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import {LinkedList, type ListNode} from '../../../src/lib/core/linked-list.js';
import {MiB} from '../../helpers/bytes.js';
import {leftOf} from '../../helpers/minor-collection.js';

const steps = fc.array(fc.record({what: fc.constantFrom('push', 'delete', 'move', 'clear'), at: fc.nat()}), {
  maxLength: 200,
});

test('it has the same members in the same order as an array', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const list = new LinkedList<number>();
      const model: ListNode<number>[] = [];
      const gone: ListNode<number>[] = [];
      for (const [value, {what, at}] of all.entries()) {
        const index = model.length === 0 ? 0 : at % model.length;
        if (what === 'push') model.push(list.push(value));
        else if (what === 'clear' && at % 10 === 0) {
          list.clear();
          gone.push(...model.splice(0));
        } else if (what === 'move' && model[index] !== undefined) {
          const [node] = model.splice(index, 1) as [ListNode<number>];
          list.moveToEnd(node);
          model.push(node);
        } else if (what === 'delete' && model[index] !== undefined) {
          const [node] = model.splice(index, 1) as [ListNode<number>];
          list.delete(node);
          gone.push(node);
        }
        // Handles of former members have no effect.
        const former = gone[at % Math.max(1, gone.length)];
        if (former !== undefined) {
          list.delete(former);
          list.moveToEnd(former);
        }
        expect([...list]).toEqual(model.map((node) => node.value));
        expect([list.size, list.first]).toEqual([model.length, model[0]?.value]);
      }
    }),
  );
});

test('a minor collection frees removed members', () => {
  const set = new Set<object>();
  const leftOfSet = leftOf((member) => {
    set.add(member);
    return () => set.delete(member);
  });
  const list = new LinkedList<object>();
  const leftOfList = leftOf((member) => {
    const node = list.push(member);
    return () => list.delete(node);
  });
  expect(leftOfList).toBeLessThan(4 * MiB);
  // The control: if a Set does as well, this list is no longer needed.
  expect(leftOfSet).toBeGreaterThan(8 * MiB);
});
