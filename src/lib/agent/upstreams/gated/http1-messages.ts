// Messages of HTTP/1 between a visitor and the upstream of a gate, in the forms that Node sends.

import type {ClientRequest, IncomingMessage, ServerResponse} from 'node:http';
import type {GateAnswer} from './gate.js';
import type {Admitted} from './gatehouse.js';
import {type HeaderList, tokensOf, valuesOf, without} from './headers.js';

/** An answer of the gate. After a refusal the connection ends: the rest of a body is not read. */
export function give(response: ServerResponse, {status, headers = {}, body = ''}: GateAnswer): void {
  const all = {...headers, 'content-length': String(Buffer.byteLength(body))};
  const close = status >= 400 ? {connection: 'close'} : {};
  response.writeHead(status, {...all, ...close} as Record<string, string | string[]>);
  response.end(body);
}

interface SendOptions {
  safely: (act: () => void) => void;
  /** Those of the visitor that may pass. */
  trailers: (sent: HeaderList) => HeaderList;
}

/** The body and the trailers, as fast as the upstream takes them. */
export function send(request: IncomingMessage, out: ClientRequest, {safely, trailers}: SendOptions): void {
  out.flushHeaders();
  request.once('end', () => {
    safely(() => {
      const passed = trailers(request.rawTrailers);
      if (passed.length > 0) out.addTrailers(pairsOf(passed));
      out.end();
    });
  });
  request.pipe(out, {end: false});
}

export function requestHeaders(request: IncomingMessage, {headers, authority}: Admitted): string[] {
  const {rawHeaders, method = ''} = request;
  const isChunked = valuesOf(rawHeaders, 'transfer-encoding').length > 0;
  // Only chunks can have trailers.
  const sent = without(headers, (name) => name === 'trailer' && !isChunked);
  if (valuesOf(sent, 'host').length === 0) sent.unshift('Host', authority);
  // With the form that Node chooses by itself, a request without a body would get an empty one.
  if (isChunked) sent.push('Transfer-Encoding', 'chunked');
  else if (valuesOf(sent, 'content-length').length === 0 && !HAS_NO_BODY.includes(method))
    sent.push('Content-Length', '0');
  if (tokensOf(rawHeaders, 'te').includes('trailers')) sent.push('TE', 'trailers');
  return sent;
}

/** Node sends no body with these by itself. */
const HAS_NO_BODY: readonly string[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'];

/** They need chunks. */
export function mayHaveTrailers({req}: ServerResponse, {rawHeaders, statusCode}: IncomingMessage): boolean {
  const hasBody = req.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
  return hasBody && req.httpVersion !== '1.0' && valuesOf(rawHeaders, 'content-length').length === 0;
}

export function keepsAlive({rawHeaders, httpVersion}: IncomingMessage): boolean {
  const said = tokensOf(rawHeaders, 'connection');
  return httpVersion === '1.0' ? said.includes('keep-alive') : !said.includes('close');
}

/** Older versions of Node cannot send such a response; visitors need none of them. */
export function inform(response: ServerResponse, status: number, headers: HeaderList): void {
  const {writeInformation} = response as {writeInformation?: (status: number, headers: HeaderList) => void};
  if (!response.headersSent) writeInformation?.call(response, status, headers);
}

export function pairsOf(list: HeaderList): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([list[at] as string, list[at + 1] as string]);
  return pairs;
}

export const wantsPage = ({rawHeaders, method}: IncomingMessage): boolean =>
  method === 'GET' && valuesOf(rawHeaders, 'accept').some((value) => /text\/html/i.test(value));
