// A program that tunl also starts on this machine, for a sandbox: its arguments and environment, with paths inside.

import type {Program as LocalProgram} from '../../launch/program.js';
import type {ProgramPlan, ProgramSite} from '../template.js';

/** Files of the program that are not the user's. A sandbox has a /tmp of its own. */
const FOLDER = '/tmp/tunl-program';

export interface InSandbox {
  readonly bin: string;
  readonly kind: string;
  readonly site: ProgramSite;
}

export function inSandbox(program: LocalProgram, {bin, kind, site}: InSandbox): ProgramPlan {
  const {port, host, url} = site;
  const {args, env = {}} = program.start({
    port,
    folder: FOLDER,
    found: {bin, lead: [], kind},
    env: {},
    uid: 1000,
    public: {host, port: Number(new URL(url).port || 443), name: host, url},
  });
  const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {command: [bin, ...args], env: Object.fromEntries(set)};
}
