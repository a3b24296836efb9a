// What the operator sees of several workers: sums that never become smaller.

import {expect, test} from 'vitest';
import {NO_COUNTS, type ProcessCounts} from '../../../../src/lib/relay/admin/report.js';
import {CrewOperations} from '../../../../src/lib/relay/workers/crew-operations.js';
import type {WorkerProcess} from '../../../../src/lib/relay/workers/worker-process.js';

const NO_NETWORKS = {counts: {networks: 0, members: 0}, status: () => []};

test('sessions are in the same order, whichever worker answers first', async () => {
  const reports = [2, 1, 2].map((worker, at) => ({session: `s${at}`, worker}));
  const operations = new CrewOperations({
    crew: {
      askAll: async (_question, _about, take) => {
        for (const report of reports) take([report] as never, {number: report.worker} as WorkerProcess);
      },
    },
    pending: {count: 0, endBlocked: () => {}},
    networks: NO_NETWORKS,
  });
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
  const operations = new CrewOperations({
    crew: {
      askAll: async (_question, _about, take) => {
        for (const [worker, counts] of answers) take({...NO_COUNTS, ...counts} as never, worker);
      },
    },
    pending: {count: 4, endBlocked: () => {}},
    networks: {counts: {networks: 1, members: 3}, status: () => []},
  });
  expect(await operations.counts()).toMatchObject({
    agents: 3,
    visitorsTotal: 10,
    bytesIn: 110,
    pending: 4,
    networks: 1,
    members: 3,
  });
  answers.delete(one);
  expect(await operations.counts()).toMatchObject({agents: 3, visitorsTotal: 10});
  operations.left(one);
  expect(await operations.counts()).toMatchObject({agents: 1, visitors: 0, visitorsTotal: 10, bytesIn: 110});
});

test('a member has the bytes that its process counts', async () => {
  const member = {name: 'a', address: 'fdaa::1', owner: 'ana', session: 's1', accepts: true};
  const known = {network: 'net:lab', members: [{...member, bytesIn: 0, bytesOut: 0}]};
  const operations = new CrewOperations({
    crew: {
      askAll: async (_question, _about, take) => {
        const told = (network: string, bytesIn: number) => [{network, name: 'a', bytesIn, bytesOut: 1}];
        for (const each of [told('net:lab', 5), told('net:other', 9), []])
          take(each as never, {} as WorkerProcess);
      },
    },
    pending: {count: 0, endBlocked: () => {}},
    networks: {counts: {networks: 1, members: 1}, status: () => [known]},
  });
  const counted = [{network: 'net:lab', members: [{...member, bytesIn: 5, bytesOut: 1}]}];
  expect(await operations.networks(9)).toEqual(counted);
  // Each answer is about the same totals.
  expect(await operations.networks(9)).toEqual(counted);
});

test('an egress has the connections of all workers, and an address is healthy where all can use it', async () => {
  const of = (connections: number, healthy: boolean, owner: string) => [
    {
      egress: 'out',
      addresses: [
        {address: '203.0.113.1', healthy},
        {address: '203.0.113.2', healthy: true},
      ],
      connections: connections + 1,
      owners: [
        {owner: 'ana', connections},
        {owner, connections: 1},
      ],
    },
  ];
  const operations = new CrewOperations({
    crew: {
      askAll: async (_question, _about, take) => {
        for (const told of [of(1, true, 'bob'), of(4, false, 'eve')])
          take(told as never, {} as WorkerProcess);
      },
    },
    pending: {count: 0, endBlocked: () => {}},
    networks: NO_NETWORKS,
  });
  expect(await operations.egresses()).toEqual([
    {
      egress: 'out',
      addresses: [
        {address: '203.0.113.1', healthy: false},
        {address: '203.0.113.2', healthy: true},
      ],
      connections: 7,
      owners: [
        {owner: 'ana', connections: 5},
        {owner: 'bob', connections: 1},
        {owner: 'eve', connections: 1},
      ],
    },
  ]);
});
