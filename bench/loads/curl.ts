// Bulk transfers, by curl.

import type {Scope} from '../../test/helpers/scope.js';
import {type RunOptions, run} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import {loopback, type Route} from '../peers/peer.js';

const form = '%{http_code} %{size_download} %{size_upload} %{time_total}\\n';

export function urlOf({scheme, host, port}: Route, path: string): string {
  return `${scheme === 'https' ? 'https' : 'http'}://${host}:${port}${path}`;
}

/** Arguments of curl for any request to the route. Certificates are not checked, because they are not measured. */
export function curlWords(route: Route): string[] {
  return [
    ...['--silent', '--show-error', '--fail', '--insecure', '--http1.1', '--noproxy', '*'],
    ...['--connect-to', `${route.host}:${route.port}:${route.address ?? loopback}:${route.port}`],
    ...['--write-out', form],
  ];
}

export interface Transfer {
  bytes: number;
  seconds: number;
}

export async function transfer(
  scope: Scope,
  tools: Tools,
  words: readonly string[],
  options: RunOptions,
): Promise<Transfer> {
  const said = await run(scope, tools.path('curl'), words, {...options, name: 'curl'});
  const [, down, up, seconds] = said.trim().split(' ').map(Number);
  if (down === undefined || up === undefined || seconds === undefined) throw new Error(`curl said: ${said}`);
  return {bytes: down + up, seconds};
}
