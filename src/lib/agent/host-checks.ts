// Recognises answers with which dev servers refuse an unknown name, and explains each kind once.

import type {Tap} from '../bytes/tap.js';

interface Check {
  /** The program that refuses, and the setting that allows the name. */
  program: string;
  setting: string;
  status: number;
  /** In the headers or at the beginning of the body. */
  mark: RegExp;
}

const CHECKS: readonly Check[] = [
  {program: 'Vite', setting: 'server.allowedHosts', status: 403, mark: /server\.allowedHosts/},
  {
    program: 'webpack’s dev server',
    setting: 'devServer.allowedHosts',
    status: 403,
    mark: /\r\n\r\n[\s\S]*Invalid Host\/?(Origin)? ?header/i,
  },
  {
    program: 'Next',
    setting: 'allowedDevOrigins',
    status: 403,
    // In other answers this word comes with 401.
    mark: /\r\n\r\n(c\r\n)?Unauthorized/,
  },
  {program: 'Rails', setting: 'config.hosts', status: 403, mark: /Blocked hosts?:/},
  {program: 'Django', setting: 'ALLOWED_HOSTS', status: 400, mark: /DisallowedHost|Invalid HTTP_HOST header/},
  {
    program: 'Jupyter',
    setting: 'ServerApp.local_hostnames',
    status: 403,
    // Its other 403 answers, such as for a form without its token, have a reason below the heading.
    mark: /\r\nserver: TornadoServer[\s\S]*<title>Jupyter Server<[\s\S]*<h1>403 : Forbidden<\/h1>\s*<\/div>/i,
  },
];

/** The beginning of an answer that the marks need: Rails has 5 kB of styles before its text. */
const LOOK_BYTES = 16 * 1024;

const ERROR_STATUS = Buffer.from('HTTP/1.1 40');

const nothing = () => {};

export class HostChecks {
  readonly #tell: (message: string) => void;
  readonly #told = new Set<string>();

  constructor(tell: (message: string) => void) {
    this.#tell = tell;
  }

  /** For one connection. Undefined when everything has been explained. */
  begin(): Tap | undefined {
    if (this.#told.size === CHECKS.length) return undefined;
    let head: Buffer | undefined;
    let over = false;
    const down = (piece: Uint8Array) => {
      if (over) return;
      const bytes = Math.min(piece.length, LOOK_BYTES);
      const chunk = Buffer.from(piece.buffer, piece.byteOffset, bytes);
      if (head === undefined && chunk.compare(ERROR_STATUS, 0, 11, 0, Math.min(11, bytes)) !== 0) {
        over = true;
        return;
      }
      // The next read overwrites the piece.
      head = head === undefined ? Buffer.from(chunk) : Buffer.concat([head, chunk]);
      const check = recognise(head.toString('latin1'));
      over = check !== undefined || head.length >= LOOK_BYTES;
      if (check !== undefined) this.#explain(check);
    };
    return {up: nothing, down, end: nothing};
  }

  #explain({program, setting}: Check): void {
    if (this.#told.has(program)) return;
    this.#told.add(program);
    this.#tell(`${program} refuses requests for the public name: allow it in its settings (${setting}).`);
  }
}

/** The check that the beginning of an answer shows. */
function recognise(head: string): Check | undefined {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]);
  return CHECKS.find((check) => check.status === status && check.mark.test(head));
}
