// One page that shows the shell, and its position in the output.
//
//   following ──unread over MOST──▶ behind ──unread under LITTLE──▶ following, by a drawing of the screen
//
// A page acknowledges the output that its terminal has shown. A page with too much unread output makes the shell wait, unless
// other pages can continue, or the page is hidden. Then it is left behind, and gets a drawing of the screen when it has read
// the rest.
import {MOST_INPUT, type ServerMessage} from './messages.js';
import type {Screen, Size} from './screen.js';

/** The part of a WebSocket that this file needs. */
export interface PageSocket {
  send(data: Uint8Array | string): void;
}

/** With less than this unread, the page can take more. */
const LITTLE = 64 * 1_024;
/** With more than this unread, the shell waits until the page has read. A larger value would delay a Ctrl+C on a slow network. */
const ENOUGH = 256 * 1_024;
/** More than can come after the shell has to wait: the page is left behind. */
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

  /** True when the page is visible and can take more. */
  get goesOn(): boolean {
    return this.isSeen && this.#follows && !this.#isFull;
  }

  /** Draws the current screen for a page that is visible, does not follow, and has read its output. */
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
   * Counts input until there is room for it. False for more than a page may have under way. The socket itself is never
   * stopped: it also brings the acknowledgements, and a shell that waits for those reads no input.
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
