// A script in a process of its own that imports the sources, without a build.
import {Child, type ChildOptions} from './child.js';
import {projectRoot} from './cli.js';
import type {Scope} from './scope.js';

export function startScript(scope: Scope, script: string, options: ChildOptions = {}): Child {
  const words = [
    '--import',
    `${projectRoot}test/helpers/ts-hook.js`,
    '--input-type=module',
    '--eval',
    script,
  ];
  return Child.start(scope, process.execPath, words, {name: 'a script', ...options});
}

/** A module of the sources as a script imports it: `import {x} from ${source('lib/y')}`. */
export const source = (path: string): string => JSON.stringify(`${projectRoot}src/${path}.ts`);
