// Answers the shells' scripts: `tunl __complete -- WORDS` prints a line for each candidate. oclif is not loaded, because
// the user waits at the TAB key.

import {readFileSync} from 'node:fs';
import {oneLine} from '../../core/one-line.js';
import {complete, type Manifest, type Surroundings} from './candidates.js';

/** The line that asks the shell to complete a file name. */
const FILES = ':files';

/** @param words those after `__complete`: `--`, or `--new --` when the word to complete is empty and was left out. */
export async function completionLines(words: readonly string[], root: string): Promise<string[]> {
  const at = words.indexOf('--');
  const typed = [...words.slice(at + 1), ...(words.slice(0, at).includes('--new') ? [''] : [])];
  const manifest = JSON.parse(readFileSync(`${root}/oclif.manifest.json`, 'utf8')) as Manifest;
  const {candidates, files} = await complete(typed.length === 0 ? [''] : typed, manifest, SURROUNDINGS);
  const prefix = /^--[^=]+=/.exec(typed.at(-1) ?? '')?.[0];
  const found =
    prefix === undefined
      ? {candidates, files}
      : await complete(
          [...typed.slice(0, -1), prefix.slice(0, -1), '=', (typed.at(-1) ?? '').slice(prefix.length)],
          manifest,
          SURROUNDINGS,
        );
  const lines = found.candidates.map(({value, about = ''}) => `${prefix ?? ''}${value}\t${oneLine(about)}`);
  return found.files ? [...lines, FILES] : lines;
}

const SURROUNDINGS: Surroundings = {
  ids: async (ended) => {
    const all = await (await roster()).all();
    const shown = ended ? all : all.filter(({life}) => life === 'running');
    return shown.map(({entry}) => ({value: entry.id, about: entry.address}));
  },
  sandboxes: async (ended) => {
    const [{SandboxRoster}, {stateDir}] = await Promise.all([
      import('../../sandbox/roster.js'),
      import('../../core/state-dir.js'),
    ]);
    const all = await new SandboxRoster(stateDir()).all();
    const shown = all.filter(({life}) => life === 'running' || (ended && life === 'ended'));
    return shown.map(({journal: {id, name, command}}) => ({value: name ?? id, about: command.join(' ')}));
  },
  tunnels: async (id) => {
    const {entry} = await (await roster()).find(id);
    return (entry.tunnels ?? []).map(({tunnel, address}) => ({value: tunnel, about: address}));
  },
  ports: async () => {
    const {listeningSockets} = await import('../../core/listening.js');
    const tables = await Promise.all(['/proc/self/net/tcp', '/proc/self/net/tcp6'].map(listeningSockets));
    const own = tables.flat().filter(({uid}) => uid === process.getuid?.());
    const ports = [...new Set(own.map(({port}) => port))].sort((a, b) => a - b);
    return ports.map((port) => ({value: String(port), about: 'a port that is open here'}));
  },
  contexts: async () => {
    const [{Contexts}, {stateDir}] = await Promise.all([
      import('../../agent/login/contexts.js'),
      import('../../core/state-dir.js'),
    ]);
    return (await new Contexts(stateDir()).all()).map(({name, relay}) => ({value: name, about: relay}));
  },
  egresses: async (given) => await (await relayValues()).egressNames(given),
  networks: async (scope, given) => await (await relayValues()).networkNames(scope, given),
  members: async (network, given) => await (await relayValues()).memberNames(network, given),
};

const relayValues = async () => await import('./relay-values.js');

async function roster() {
  const [{Roster}, {stateDir}] = await Promise.all([
    import('../../launch/roster.js'),
    import('../../core/state-dir.js'),
  ]);
  return new Roster(stateDir());
}
