// What the programs of a cluster on one machine have sent goes out before their network ends.

import {PassThrough} from 'node:stream';
import {expect, test, vi} from 'vitest';
import {LocalCluster} from '../../../src/lib/cluster/local.js';

const {fabric} = vi.hoisted(() => ({fabric: {connections: 3, leftAtClose: [] as number[]}}));

vi.mock('../../../src/lib/seal/fabric/fabric.js', () => ({
  Fabric: {
    open: async () => ({
      wasLost: false,
      start: () => ({
        stdout: new PassThrough().end(),
        stderr: new PassThrough().end(),
        exited: Promise.resolve({code: 0, signal: null}),
        kill: () => {},
      }),
      /** Each look finds one connection less. */
      get outstanding() {
        fabric.connections = Math.max(0, fabric.connections - 1);
        return {connections: fabric.connections, bytes: 0, moved: 0};
      },
      close: async () => void fabric.leftAtClose.push(fabric.connections),
    }),
  },
}));

test('the network of the members is closed when nothing is outstanding', async () => {
  const cluster = new LocalCluster(['true'], {size: 2});
  expect(await cluster.ended).toMatchObject({exitCode: 0});
  expect(fabric.leftAtClose[0]).toBe(0);
});
