// One page that looks at the shell, and how far it has come with the output.
//
//   following ──unread over MOST──▶ behind ──unread under LITTLE──▶ following, by a drawing of the screen
//
// A page acknowledges what its terminal has shown. One that is full holds the shell up, unless others look as well and can
// go on, or nobody sees the page: then it is left behind and gets the screen as it is when it has read what it was sent.
import {MOST_INPUT, type ServerMessage} from './messages.js';
import type {Screen, Size} from './screen.js';

/** The part of a WebSocket that this file needs. */
export interface PageSocket {
  send(data: Uint8Array | string): void;
}

/** The page can take more. */
const LITTLE = 64 * 1_024;
/** The page has enough: the shell is held up until it has read. More would keep a Ctrl+C on a slow network waiting. */
const ENOUGH = 256 * 1_024;
/** More than comes after the shell was held up: the page is left behind. */
const MOST = 768 * 1_024;

export class Visitor {
  /** The size of the visitor's window; undefined while the page is hidden. */
  size: Size | undefined;
  readonly #socket: PageSocket;
  readonly #screen: Screen;
  readonly #readOnly: boolean;
  #unread = 0;
  #input = 0;
  #isFull = false;
  #follows = false;

  constructor(socket: PageSocket, screen: Screen, readOnly: boolean) {
    this.#socket = socket;
    this.#screen = screen;
    this.#readOnly = readOnly;
  }

  get isSeen(): boolean {
    return this.size !== undefined;
  }

  /** It is seen, and can take more. */
  get goesOn(): boolean {
    return this.isSeen && this.#follows && !this.#isFull;
  }

  /** Draws the screen as it is for a page that is seen, does not follow, and has read what it was sent. */
  catchUp(): void {
    if (this.#follows || !this.isSeen || this.#unread > LITTLE) return;
    this.#follows = true;
    this.tellSize();
    this.#send(this.#screen.drawing());
  }

  tellSize(): void {
    this.tell({type: 'size', ...this.#screen.size, readOnly: this.#readOnly});
  }

  tell(message: ServerMessage): void {
    this.#socket.send(JSON.stringify(message));
  }

  output(bytes: Uint8Array): void {
    if (!this.#follows) return;
    if (this.#unread + bytes.length > MOST) this.#follows = false;
    else this.#send(bytes);
  }

  /** False for more than it was sent. */
  acknowledge(bytes: number): boolean {
    if (bytes > this.#unread) return false;
    this.#unread -= bytes;
    if (this.#unread <= LITTLE) this.#isFull = false;
    this.catchUp();
    return true;
  }

  /**
   * Counts input until there is room for it. False for more than a page may have under way. The socket itself is never stopped: it
   * brings the acknowledgements as well, and a shell that waits for those reads no input.
   */
  input(bytes: number, room: Promise<void> | undefined): boolean {
    this.#input += bytes;
    const taken = () => {
      this.#input -= bytes;
      this.tell({type: 'taken', bytes});
    };
    if (room === undefined) taken();
    else void room.then(taken);
    return this.#input <= MOST_INPUT;
  }

  #send(bytes: Uint8Array): void {
    this.#unread += bytes.length;
    this.#isFull ||= this.#unread >= ENOUGH;
    this.#socket.send(bytes);
  }
}
