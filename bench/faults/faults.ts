// The rows of the fault matrix: the faults of the network between relay and agent.

import {setTimeout as sleep} from 'node:timers/promises';
import type {NetPath} from '../../test/helpers/net-path.js';

export interface FaultRun {
  path: NetPath;
  /** The transport of the peer's link. */
  over: 'tcp' | 'udp';
  /** The short form: faults are shorter and fewer. */
  short: boolean;
  signal: AbortSignal;
  /** Resolves when the download continues, or is over. */
  goesOn(): Promise<void>;
  /** Whether the download has ended. A fault that repeats itself stops then. */
  isOver(): Promise<boolean>;
}

export interface Fault {
  name: string;
  about: string;
  /** Breaks the network and mends it again. */
  run(run: FaultRun): Promise<void>;
}

const hole = (seconds: number, shortSeconds: number): Fault => ({
  name: `hole-${seconds}`,
  about: `${seconds} s hole`,
  run: async ({path, short, signal}) => {
    await path.drop();
    await wait(short ? shortSeconds : seconds, signal);
    await path.mend();
  },
});

export const faults: readonly Fault[] = [
  hole(20, 5),
  hole(50, 10),
  // 20 s in the short form: tunl gives a link up after 15 s of silence.
  hole(90, 20),
  {
    name: 'killed',
    about: 'carrier killed',
    run: ({path, over}) => breakCarrier(path, over),
  },
  {
    name: 'address',
    about: 'address change, 1 s gap',
    run: ({path}) => path.move(1_000),
  },
  {
    name: 'udp-blocked',
    about: 'UDP blocked 120 s',
    run: async ({path, short, signal}) => {
      await path.drop('udp');
      await wait(short ? 15 : 120, signal);
      await path.mend();
    },
  },
  {
    name: 'cut-10',
    about: 'cut each 10 s for 4 minutes',
    run: async ({path, over, short, signal, isOver}) => {
      const [every, times] = short ? [3, 5] : [10, 24];
      for (let i = 0; i < times && !(await isOver()); i++) {
        await breakCarrier(path, over);
        await wait(every, signal);
      }
    },
  },
  {
    name: 'holes-18',
    about: '4 × 18 s holes, 12 s apart',
    run: async ({path, short, signal, isOver}) => {
      const [seconds, between, times] = short ? [4, 3, 2] : [18, 12, 4];
      for (let i = 0; i < times && !(await isOver()); i++) {
        if (i > 0) await wait(between, signal);
        await path.drop();
        await wait(seconds, signal);
        await path.mend();
      }
    },
  },
  {
    name: 'down-50',
    about: 'interface down 50 s',
    run: async ({path, short, signal}) => {
      const up = await path.down();
      await wait(short ? 10 : 50, signal);
      await up();
    },
  },
  {
    name: 'refused-50',
    about: 'refused for 50 s, 20 times',
    run: async ({path, short, signal, goesOn, isOver}) => {
      const [seconds, times] = short ? [8, 2] : [50, 20];
      for (let i = 0; i < times && !(await isOver()); i++) {
        await path.refuse();
        await wait(seconds, signal);
        await path.mend();
        await goesOn();
        await wait(3, signal);
      }
    },
  },
];

/** UDP has no connection to reset. A NAT that forgets a UDP flow gives it another port. */
function breakCarrier(path: NetPath, over: 'tcp' | 'udp'): Promise<void> {
  return over === 'tcp' ? path.cutTcp() : path.rebindUdp();
}

async function wait(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, {signal});
}
