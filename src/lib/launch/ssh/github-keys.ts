// The public keys that GitHub publishes for a user, at https://github.com/USER.keys.
import type {IncomingMessage} from 'node:http';
import https from 'node:https';
import {systemCode, TunlError} from '../../core/errors.js';
import {request as requestHttp} from '../../core/node-http.js';
import {type KeyList, parseKeyList} from './key-list.js';

const TIMEOUT_MS = 10_000;
const MAX_PAGE_BYTES = 1024 * 1024;

export interface GitHubOptions {
  /** Default `https://github.com`. */
  readonly baseUrl?: string;
  readonly signal?: AbortSignal;
  /** For HTTPS_PROXY and NO_PROXY. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Options before keys are refused: only the user's own files may restrict or widen a login. */
export async function keysFromGitHub(user: string, options: GitHubOptions = {}): Promise<KeyList> {
  if (!/^[a-z\d](?:[a-z\d]|-(?=[a-z\d])){0,38}$/i.test(user)) {
    throw failed('That is no GitHub user name.', 'Give it like --github octocat.');
  }
  const url = new URL(`/${user}.keys`, options.baseUrl ?? 'https://github.com');
  let page: {status: number; text: string};
  try {
    page = await fetchPage(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw new TunlError('ABORTED', {cause: error});
    const why = systemCode(error) || (error instanceof Error ? error.message : 'unknown error');
    throw failed(`GitHub’s keys of ${user} could not be fetched (${why}).`, undefined, error);
  }
  if (page.status === 404) throw failed(`There is no GitHub user ${user}.`, 'Check the spelling.');
  // Redirects are refused, too: another server must not decide who may log in here.
  if (page.status !== 200) throw failed(`GitHub answered ${page.status} for the keys of ${user}.`);
  if (page.text.trim() === '') {
    throw failed(`GitHub publishes no keys of ${user}.`, 'Give a key file with --key.');
  }
  return parseKeyList(page.text, {source: `github.com/${user}`, allowOptions: false});
}

function failed(reason: string, next?: string, cause?: unknown): TunlError {
  return new TunlError('KEY_SOURCE', {reason, ...(next !== undefined && {next}), cause});
}

const agentFor = (proxyEnv: NodeJS.ProcessEnv) => new https.Agent({proxyEnv});

async function fetchPage(url: URL, options: GitHubOptions): Promise<{status: number; text: string}> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request =
      url.protocol === 'http:'
        ? requestHttp(url, {signal, agent: false}, resolve)
        : https.request(url, {signal, agent: agentFor(options.env ?? process.env)}, resolve);
    request.once('error', (error) => reject(timeout.aborted ? new Error('no answer in time') : error));
    request.end();
  });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_PAGE_BYTES) throw new Error('the page is too large');
    chunks.push(chunk);
  }
  return {status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8')};
}
