// The base of commands that can run in the background: --detach starts them there, and they report their state from there.

import {BaseCommand} from './base-command.js';
import type {Detached, InBackground, UpEvent} from './detach.js';
import {asEvent} from './failure.js';

export abstract class BackgroundCommand extends BaseCommand {
  /** Set in the process that runs in the background. */
  protected background: InBackground | undefined;

  /**
   * Starts the command in the background and resolves when it is up there. Undefined: this process does the work itself.
   *
   * @throws TunlError the reason why it is not up
   */
  protected async startDetached<T extends UpEvent>(
    wanted: boolean,
    type: T['type'],
  ): Promise<Detached<T> | undefined> {
    if (!wanted) return undefined;
    const {detach, InBackground} = await import('./detach.js');
    this.background = InBackground.here();
    if (this.background !== undefined) return undefined;
    this.presenter.begin('starting in the background');
    return await detach<T>(type);
  }

  protected override async catch(error: Error): Promise<void> {
    await this.background?.failed(asEvent(error, this.argv));
    await super.catch(error);
  }
}
