// The way from a gate to the upstream: dials it for visitors who are in, and waits for it if it is asked to.

import {systemCode, TunlError} from '../../../core/errors.js';
import {KeepAlive} from '../../../net/keep-alive.js';
import {UpstreamWait} from '../../upstream-wait.js';
import type {Upstream, UpstreamConnection, UpstreamDial} from '../upstream.js';
import type {Refusal, RefusalCode} from './answers.js';

const RELOAD_S = 3;

export class DialFailed extends Error {
  constructor(cause: Error) {
    super('the upstream does not answer', {cause});
  }
}

export class UpstreamLine {
  readonly #upstream: Upstream;
  readonly #wait: UpstreamWait;
  readonly #keepAlive = new KeepAlive();
  readonly #reloads: boolean;

  /** @param waitMs how long a request waits for an upstream that does not accept connections */
  constructor(upstream: Upstream, {waitMs, reloads}: {waitMs: number; reloads: boolean}) {
    this.#upstream = upstream;
    this.#wait = new UpstreamWait(waitMs);
    this.#reloads = reloads;
  }

  /** One connection. Returns a function that cancels the dial silently. */
  dial(
    {visitor, alpn, preface, onComplaint, onGateDialled}: UpstreamDial,
    done: (error: DialFailed | undefined, connection?: UpstreamConnection) => void,
  ): () => void {
    const wait = this.#wait.begin();
    let stop = () => {};
    const dialOnce = () => {
      stop = this.#upstream.dial({
        visitor,
        alpn,
        preface,
        ...(onComplaint !== undefined && {onComplaint}),
        onOpen: (connection) => {
          wait.end();
          const young = this.#keepAlive.add(connection.socket);
          connection.socket.once('close', () => this.#keepAlive.delete(young));
          onGateDialled?.(undefined);
          done(undefined, connection);
        },
        onFailed: (error) => {
          const mayPass = !(error instanceof TunlError) || error.retryable;
          if (mayPass && wait.again(dialOnce)) return;
          wait.end();
          onGateDialled?.(error);
          done(new DialFailed(error));
        },
      });
    };
    dialOnce();
    return () => {
      wait.end();
      stop();
    };
  }

  /** The answer to the visitor of this dial when the upstream gives none. */
  refusalFor(error: Error, dial: UpstreamDial): Refusal {
    const isDown = error instanceof DialFailed;
    const code: RefusalCode = isDown ? 'UPSTREAM_REFUSED' : 'UPSTREAM_FAILED';
    if (!isDown) {
      dial.onGateUnanswered?.('http/1.1');
      return {
        status: 502,
        code,
        title: 'The service gave no answer',
        message: 'The service behind this address ended the connection without an answer.',
      };
    }
    const isLate = systemCode(error.cause) === 'ETIMEDOUT';
    return {
      status: this.#reloads ? 503 : isLate ? 504 : 502,
      code,
      title: 'The service does not answer',
      message: `The tunnel is open, but the service behind it does not accept connections.${
        this.#reloads ? ` This page reloads every ${RELOAD_S} seconds.` : ''
      }`,
      ...(this.#reloads && {reloadS: RELOAD_S}),
    };
  }
}
