// `tunl sandbox run --detach`: a signal between the answer of the supervisor and the wait for the start.

import {expect, test, vi} from 'vitest';
import {runDetached} from '../../../src/lib/cli/sandbox/run.js';
import {TunlError} from '../../../src/lib/core/errors.js';

const {terminate} = vi.hoisted(() => ({terminate: vi.fn()}));

vi.mock('../../../src/lib/sandbox/supervisor/start.js', () => ({
  startSupervisor: async () => {
    process.emit('SIGTERM');
    const ended = new Promise<never>((_, reject) => {
      terminate.mockImplementation(async () => reject(new TunlError('SANDBOX_ENDED')));
    });
    return {id: 'sb_aaaaaaaa', started: () => ended, terminate, close: () => {}};
  },
}));

test('the sandbox is terminated', async () => {
  const onSignal = () => {};
  // Without a listener it would end this process.
  process.on('SIGTERM', onSignal);
  try {
    const presenter = {begin: () => {}} as never;
    const run = {command: ['x'], options: {}, asked: {ports: [], limits: []}, presenter};
    await expect(runDetached(run)).rejects.toMatchObject({code: 'ABORTED'});
    expect(terminate).toHaveBeenCalledOnce();
  } finally {
    process.off('SIGTERM', onSignal);
  }
});
