// What people do in code-server, in a browser.
import type {Page} from 'playwright-core';

/** Signs in at the page of the password, and waits for the editor. */
export async function signInToEditor(tab: Page, password: string): Promise<void> {
  await tab.fill('input[name=password]', password);
  await tab.click('input[type=submit]');
  await tab.locator('.monaco-workbench').waitFor();
}

/** Opens a file of the folder, and waits for its text. */
export async function openInEditor(tab: Page, name: string, text: string): Promise<void> {
  await tab.locator('.explorer-folders-view .monaco-list-row', {hasText: name}).dblclick();
  await tab.locator('.view-line', {hasText: text}).waitFor();
}

/** Opens a terminal in the editor and types a line. A file is open: before that the page may not take keys. */
export async function typeInTerminal(tab: Page, line: string): Promise<void> {
  await tab.keyboard.press('Control+Shift+Backquote');
  await tab.locator('.terminal-wrapper .xterm-helper-textarea').waitFor({state: 'attached'});
  await tab.locator('.terminal-wrapper .xterm-screen').click();
  await tab.keyboard.type(`${line}\n`);
}
