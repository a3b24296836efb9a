// The abilities of an engine on this machine, for `tunl sandbox doctor` and the choice of a backend.

import {TunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import {sealObstacle} from '../../seal/seal.js';
import type {BackendReport, Finding} from '../backend.js';
import {type EngineFacts, readRuntimes, specialRuntime} from './facts.js';
import type {EngineKind} from './find-socket.js';
import {limitFindings} from './limits.js';
import {networkFinding} from './network.js';
import type {OpenEngine} from './open-engine.js';

/** Never rejects. */
export async function probeEngine(kind: EngineKind, open: OpenEngine): Promise<BackendReport> {
  try {
    const lease = await open.use();
    try {
      // The engine's facts about itself take a tenth of a second, and those of the network as long.
      const obstacle = sealObstacle();
      const facts = await lease.engine.facts();
      prepare(facts, open);
      const runtimes = await readRuntimes(lease.engine.api, kind);
      return {
        name: kind,
        available: true,
        version: `${kind} ${facts.version} (${facts.runtime ?? facts.defaultRuntime})`,
        limits: limitFindings(facts),
        egress: networkFinding(facts, await obstacle),
        notes: notesOf(facts, runtimes, lease.isOwn),
      };
    } finally {
      await lease.release();
    }
  } catch (error) {
    const isOurs = error instanceof TunlError;
    return {
      name: kind,
      available: false,
      why: isOurs ? error.message : `${kind} does not answer: ${printable(String(error))}`,
      mend: isOurs ? error.next : `Run \`${kind} info\`, and mend what it says.`,
      limits: NOTHING,
      egress: {what: 'network', reality: 'none'},
      notes: [],
    };
  }
}

/** A probe is followed by a start, which then finds its service. */
function prepare(facts: EngineFacts, open: OpenEngine): void {
  const runtime = specialRuntime(facts);
  if (runtime === undefined) return;
  open
    .use(runtime)
    .then((lease) => lease.release())
    .catch(() => {});
}

const none: Finding = {what: 'nothing', reality: 'none'};
const NOTHING: BackendReport['limits'] = {
  memoryBytes: none,
  cpus: none,
  pids: none,
  diskBytes: none,
  openFiles: none,
};

function notesOf(facts: EngineFacts, runtimes: readonly string[], isOwn: boolean): readonly string[] {
  const {kind, isRootless, hasMappedUsers, runtime, defaultRuntime} = facts;
  const notes = [`runtimes: ${runtimes.join(', ') || 'none'}`];
  if (isOwn)
    notes.push('No API socket of podman is enabled, so a service of tunl’s own starts with each use.');
  if (runtime !== undefined)
    notes.push(`${defaultRuntime} does not start on this machine’s control groups, so ${runtime} is used.`);
  if (isRootless) notes.push(`${kind} runs as an ordinary user.`);
  if (kind === 'docker' && !isRootless) {
    notes.push('Members of the group docker are as good as root on this machine.');
    if (!hasMappedUsers)
      notes.push('User ids inside are ids of the host: docker maps them only with userns-remap.');
  }
  return notes;
}
