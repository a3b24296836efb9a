// The search for secrets that a test has planted: the programs that help it, and the places where nobody may find one.
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {childrenOf} from './launching.js';
import {atMost} from './metric.js';

/** Tells its visitors what it knows: its environment, and the heads of their requests. */
export const TELLS = `await listen(Number(argv[0]), (request, response) => {
  response.end(JSON.stringify({env: process.env, heads: [request.url, ...request.rawHeaders]}));
});`;

/** Ends the process with an uncaught error when it gets SIGUSR2, from wherever it is. */
export const CRASHES = `data:text/javascript,process.on('SIGUSR2',()=>{throw(Error('crashed-on-purpose'))})`;

/** The process and all those below it. */
export function family(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(family)];
}

/** All files below a folder, without those in which the secrets are meant to be. */
export function filesIn(folder: string, ...allowed: string[]): string {
  return readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && !allowed.includes(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}

/** Fails when a secret is in a place. Both have names for the message. */
export function searchFor(
  secrets: Readonly<Record<string, string>>,
  places: Readonly<Record<string, string>>,
  figure: string,
): void {
  const found: string[] = [];
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, place).toBeGreaterThan(0);
    for (const [name, secret] of Object.entries(secrets))
      if (text.includes(secret)) found.push(`${name} in ${place}`);
  }
  for (const [name, secret] of Object.entries(secrets)) expect(secret.length, name).toBeGreaterThan(10);
  expect(found).toEqual([]);
  expect(atMost(figure, 'found', found.length, 0)).toBe(true);
}
