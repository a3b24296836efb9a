// The program that dials members from the hub, and hands the connected sockets over to this process.

import {type ChildProcess, spawn} from 'node:child_process';
import type {Socket} from 'node:net';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';
import type {DialAnswer} from '../dialler.js';
import {PROGRAM_PATH} from '../holder.js';
import {dropping, entering, type NamespaceFiles} from './member-process.js';

/** It ends with its channel to this process. */
export function startHubDialler(
  files: NamespaceFiles,
  onAnswer: (answer: DialAnswer, socket: Socket | undefined) => void,
): ChildProcess {
  const program = fileURLToPath(new URL('dist/bundle/seal/dialler.js', packageRoot));
  const [command = '', ...words] = [...entering(files), ...dropping(), process.execPath, program];
  const child = spawn(command, words, {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: {PATH: PROGRAM_PATH},
    cwd: '/',
    detached: true,
  });
  child.on('error', () => {});
  child.on('message', (answer, socket) => onAnswer(answer as DialAnswer, socket as Socket | undefined));
  return child;
}
