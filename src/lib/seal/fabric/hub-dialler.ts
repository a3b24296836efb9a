// The program that dials members from the hub, and hands the connected sockets over to this process.

import {type ChildProcess, spawn} from 'node:child_process';
import type {Socket} from 'node:net';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';
import type {DialAnswer} from '../dialler.js';
import {PROGRAM_PATH} from '../holder.js';
import {dropping, entering, type NamespaceFiles} from './member-process.js';

export interface HubDiallerEvents {
  readonly onAnswer: (answer: DialAnswer, socket: Socket | undefined) => void;
  /** It could not start, or no more answers come. Called once. */
  readonly onEnded: () => void;
}

/** It ends with its channel to this process. */
export function startHubDialler(files: NamespaceFiles, {onAnswer, onEnded}: HubDiallerEvents): ChildProcess {
  const program = fileURLToPath(new URL('dist/bundle/seal/dialler.js', packageRoot));
  const [command = '', ...words] = [...entering(files), ...dropping(), process.execPath, program];
  const child = spawn(command, words, {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: {PATH: PROGRAM_PATH},
    cwd: '/',
    detached: true,
  });
  let isOver = false;
  const over = () => {
    if (isOver) return;
    isOver = true;
    // A word that could not be sent is an error as well.
    if (child.connected) child.disconnect();
    onEnded();
  };
  child.on('error', over);
  // Unlike `exit`, it comes after the last answer.
  child.once('disconnect', over);
  child.on('message', (answer, socket) => onAnswer(answer as DialAnswer, socket as Socket | undefined));
  return child;
}
