// What the operator sees of several workers: sums that never become smaller.

import {expect, test} from 'vitest';
import {NO_COUNTS, type ProcessCounts} from '../../../../src/lib/relay/admin/report.js';
import {CrewOperations} from '../../../../src/lib/relay/workers/crew-operations.js';
import type {WorkerProcess} from '../../../../src/lib/relay/workers/worker-process.js';

test('sessions are in the same order, whichever worker answers first', async () => {
  const reports = [2, 1, 2].map((worker, at) => ({session: `s${at}`, worker}));
  const operations = new CrewOperations(
    {
      askAll: async (_question, _about, take) => {
        for (const report of reports) take([report] as never, {number: report.worker} as WorkerProcess);
      },
    },
    {count: 0},
  );
  const order = async (most: number) => (await operations.sessions(most)).map(({session}) => session);
  expect(await order(9)).toEqual(['s1', 's0', 's2']);
  expect(await order(2)).toEqual(['s1', 's0']);
});

test('totals of a worker that hangs or is gone stay in the sum', async () => {
  const [one, two] = [{number: 1}, {number: 2}] as unknown as [WorkerProcess, WorkerProcess];
  const answers = new Map<WorkerProcess, Partial<ProcessCounts>>([
    [one, {agents: 2, visitors: 1, visitorsTotal: 7, bytesIn: 100}],
    [two, {agents: 1, visitorsTotal: 3, bytesIn: 10}],
  ]);
  const operations = new CrewOperations(
    {
      askAll: async (_question, _about, take) => {
        for (const [worker, counts] of answers) take({...NO_COUNTS, ...counts} as never, worker);
      },
    },
    {count: 4},
  );
  expect(await operations.counts()).toMatchObject({agents: 3, visitorsTotal: 10, bytesIn: 110, pending: 4});
  answers.delete(one);
  expect(await operations.counts()).toMatchObject({agents: 3, visitorsTotal: 10});
  operations.left(one);
  expect(await operations.counts()).toMatchObject({agents: 1, visitors: 0, visitorsTotal: 10, bytesIn: 110});
});
