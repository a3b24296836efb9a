// Errors as answers: problem details of RFC 9457, with the codes of docs/errors.md.

import {type ErrorCode, toTunlError} from '../../core/errors.js';

export interface Problem {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  OPTION_INVALID: 400,
  HUB_TEMPLATE_UNKNOWN: 400,
  TOKEN_MISSING: 401,
  TOKEN_WRONG: 401,
  TOKEN_EXPIRED: 401,
  TOKEN_REVOKED: 401,
  NOT_ALLOWED: 403,
  HUB_SESSION_UNKNOWN: 404,
  HUB_USER_UNKNOWN: 404,
  HUB_NAME_USED: 409,
  SANDBOX_ENDED: 409,
  HUB_QUOTA: 429,
  HUB_FAILED: 502,
  HUB_AWAY: 503,
  HUB_FULL: 503,
  RELAY_BUSY: 503,
  HUB_NOT_READY: 504,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Seconds until another try makes sense. */
const RETRY_AFTER: Readonly<Record<number, string>> = {429: '30', 503: '15'};

/** A failure of the request itself, beside the codes of errors. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function problemOf(error: unknown, more: Readonly<Record<string, unknown>> = {}): Problem {
  if (error instanceof HttpProblem) {
    const {status, code, message, headers} = error;
    return answer(status, {code, detail: message, ...more}, headers);
  }
  const {code, message, next} = toTunlError(error);
  const status = STATUS[code] ?? 500;
  // The reason of an error that nobody has foreseen may name files of the host.
  const detail = status === 500 ? 'The hub could not do this; its log says why.' : message;
  return answer(status, {code, detail, ...(status !== 500 && {next}), ...more});
}

function answer(
  status: number,
  body: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Problem {
  const retry = RETRY_AFTER[status];
  return {
    status,
    body: {type: 'about:blank', title: TITLES[status] ?? 'Error', status, ...body},
    headers: {
      ...(retry !== undefined && {'Retry-After': retry}),
      ...(status === 401 && {'WWW-Authenticate': 'Bearer realm="tunl hub"'}),
      ...headers,
    },
  };
}
