// A program of a member in a seal of its own, in the form of one in a machine's network of members.

import type {Readable} from 'node:stream';
import type {MemberCommand, MemberProcess, ProcessExit} from '../seal/fabric/member-process.js';
import {signalsGroupOf} from '../seal/own-processes.js';
import type {Seal} from '../seal/seal.js';

export function sealedProcess(seal: Pick<Seal, 'spawn'>, {argv, env, cwd}: MemberCommand): MemberProcess {
  const child = seal.spawn(argv, {stdio: ['ignore', 'pipe', 'pipe'], env: {...env}, cwd, detached: true});
  let isOver = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    const end = (exit: ProcessExit) => {
      isOver = true;
      resolve(exit);
    };
    child.once('exit', (code, signal) => end({code, signal}));
    child.once('error', () => end({code: 126, signal: null}));
  });
  return {
    stdout: child.stdout as Readable,
    stderr: child.stderr as Readable,
    exited,
    kill: (signal) => void (isOver || signalsGroupOf(child, signal)),
  };
}
