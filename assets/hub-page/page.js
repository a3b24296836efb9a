// The page of a hub: signs in, starts sessions, and shows each change. All texts are set as text, never as HTML.

const at = (id) => document.getElementById(id);
const sessions = new Map();
/** By the id of a session: its card, which stays, so that the focus does. */
const cards = new Map();
let me;
let feed;

class Problem extends Error {}

async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: {
      accept: 'application/json',
      ...(body !== undefined && {'content-type': 'application/json'}),
      ...(method === 'POST' && {prefer: 'respond-async'}),
    },
    ...(body !== undefined && {body: JSON.stringify(body)}),
  });
  if (response.status === 401) signedOut();
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Problem(
      [problem.detail, problem.next].filter(Boolean).join(' ') || `The hub answered ${response.status}.`,
    );
  }
  return response.status === 204 ? undefined : response.json();
}

/** Shows what went wrong, and does not go on. */
async function attempt(action) {
  at('problem').hidden = true;
  try {
    await action();
  } catch (error) {
    at('problem').textContent = error instanceof Problem ? error.message : 'The hub cannot be reached.';
    at('problem').hidden = false;
  }
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function button(text, action, className) {
  const made = element('button', text, className);
  made.type = 'button';
  made.addEventListener('click', async () => {
    made.disabled = true;
    await attempt(action);
    made.disabled = false;
  });
  return made;
}

function span(ms) {
  if (ms < 0) return 'now';
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

const FINAL = ['stopped', 'failed'];
const SOURCES = {
  program: 'its program',
  traffic: 'traffic of its page',
  exec: 'a command inside',
  stdin: 'input',
  extend: 'it was extended',
  start: 'its start',
};

function keptBy({source, detail, at: when, isNow}, now) {
  const what = detail ?? SOURCES[source] ?? source;
  return isNow ? `${what} now` : `${what}, ${span(now - when)} ago`;
}

function facts(session) {
  const now = Date.now();
  const rows = [];
  if (session.user !== me.user) rows.push(['User', session.user]);
  if (session.queued) rows.push(['Queue', `place ${session.queued}`]);
  if (session.readyAt && !session.endedAt) rows.push(['Up', span(now - session.readyAt)]);
  if (session.keptBy) rows.push(['Kept by', keptBy(session.keptBy, now)]);
  const stops = [
    session.idleStopsAt && `in ${span(session.idleStopsAt - now)} if nobody uses it`,
    session.stopsAt && `in ${span(session.stopsAt - now)} in any case`,
  ].filter(Boolean);
  if (stops.length > 0) rows.push(['Stops', stops.join(', ')]);
  if (session.login) {
    if (session.login.user) rows.push(['User name', session.login.user]);
    rows.push(['Password', session.login.password]);
  }
  if (session.end) rows.push(['Ended', `${session.end.detail} (${span(now - session.endedAt)} ago)`]);
  return rows;
}

function cardOf(id) {
  const known = cards.get(id);
  if (known) return known;
  const root = element('article');
  const title = element('div', undefined, 'title');
  const list = element('dl');
  const actions = element('div', undefined, 'line');
  const log = element('pre');
  log.hidden = true;
  log.tabIndex = 0;
  root.append(title, list, actions, log);
  const card = {root, title, list, actions, log, shown: ''};
  cards.set(id, card);
  return card;
}

function show(session) {
  const card = cardOf(session.id);
  const name = session.name ? `${session.template} · ${session.name}` : session.template;
  card.title.replaceChildren(
    element('h3', name),
    element('span', session.state, session.state === 'failed' ? 'bad' : 'faint'),
  );
  const rows = facts(session).flatMap(([key, value]) => [element('dt', key), element('dd', value)]);
  card.list.replaceChildren(...rows);
  // Buttons are made anew only when they change: the one in focus must stay.
  const kind = `${session.state} ${session.url ?? ''}`;
  if (card.shown !== kind) {
    card.shown = kind;
    card.actions.replaceChildren(...actionsOf(session, card));
  }
  if (session.end?.tail.length > 0 && card.log.textContent === '') {
    card.log.textContent = session.end.tail.join('\n');
    card.log.hidden = session.state !== 'failed';
  }
  return card.root;
}

function actionsOf({id, url, state, user, template, name}, card) {
  const made = [];
  if (state === 'ready' && url && user === me.user) {
    const open = element('a', 'Open', 'button');
    open.href = url;
    open.target = '_blank';
    open.rel = 'noopener noreferrer';
    made.push(open);
  }
  if (state === 'ready')
    made.push(button('Extend by 1 h', () => ask('POST', `/v1/sessions/${id}/extend`, {for: '1h'}), 'quiet'));
  if (state === 'starting' || state === 'ready') made.push(button('Log', () => showLog(id, card), 'quiet'));
  if (!FINAL.includes(state) && state !== 'stopping')
    made.push(button('Stop', () => ask('DELETE', `/v1/sessions/${id}`), 'quiet'));
  if (FINAL.includes(state) && user === me.user)
    made.push(
      button('Start again', () => ask('POST', '/v1/sessions', {template, ...(name && {name})}), 'quiet'),
    );
  return made;
}

async function showLog(id, card) {
  if (!card.log.hidden) {
    card.log.hidden = true;
    return;
  }
  const response = await fetch(`/v1/sessions/${id}/logs`);
  card.log.textContent = (await response.text()).slice(-64_000) || 'No output yet.';
  card.log.hidden = false;
  card.log.scrollTop = card.log.scrollHeight;
}

function showAll() {
  const isFinal = ({state}) => FINAL.includes(state);
  const all = [...sessions.values()].sort((a, b) => isFinal(a) - isFinal(b) || b.createdAt - a.createdAt);
  const list = at('sessions');
  const roots = all.map(show);
  for (const [place, root] of roots.entries())
    if (list.children[place] !== root) list.insertBefore(root, list.children[place] ?? null);
  while (list.children.length > roots.length) list.lastElementChild.remove();
  const running = all.filter((each) => !isFinal(each) && each.user === me.user).length;
  at('quota').textContent = `${running} of ${me.quota} sessions run.`;
  at('live').textContent = all.length === 0 ? 'There is no session yet.' : '';
}

function listen() {
  feed?.close();
  sessions.clear();
  feed = new EventSource(`/v1/events${at('all').checked ? '?all=true' : ''}`);
  const take = ({data}) => {
    const {session} = JSON.parse(data);
    sessions.set(session.id, session);
    showAll();
  };
  feed.addEventListener('state', take);
  feed.addEventListener('warning', (event) => {
    take(event);
    const {session, at: when, reason} = JSON.parse(event.data);
    const why = reason === 'idle' ? 'nobody uses it' : 'its time is over';
    at('live').textContent =
      `${session.name ?? session.template} stops in ${span(when - Date.now())}, because ${why}.`;
  });
  feed.addEventListener('gone', ({data}) => {
    const {id} = JSON.parse(data);
    sessions.delete(id);
    cards.delete(id);
    showAll();
  });
  feed.addEventListener('error', () => {
    at('live').textContent = 'The hub cannot be reached; trying again…';
    if (feed.readyState === EventSource.CLOSED) setTimeout(begin, 3_000);
  });
}

function signedOut() {
  feed?.close();
  at('inside').hidden = true;
  at('who').hidden = true;
  at('sign-in').hidden = false;
}

async function begin() {
  const response = await fetch('/v1/me');
  if (!response.ok) return signedOut();
  me = await response.json();
  at('name').textContent = me.user;
  at('everybody').hidden = !me.isAdmin;
  const templates = await ask('GET', '/v1/templates');
  const choices = templates.map(({name, title}, place) => {
    const label = element('label');
    const input = element('input');
    Object.assign(input, {type: 'radio', name: 'template', value: name, checked: place === 0});
    label.append(input, element('span', title === name ? title : `${title} (${name})`));
    return label;
  });
  at('templates').replaceChildren(...choices);
  at('sign-in').hidden = true;
  at('who').hidden = false;
  at('inside').hidden = false;
  showAll();
  listen();
}

at('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  void attempt(async () => {
    const token = at('token').value;
    at('token').value = '';
    await ask('POST', '/sign-in', {token});
    await begin();
  });
});
at('sign-out').addEventListener(
  'click',
  () =>
    void attempt(async () => {
      await ask('POST', '/sign-out');
      signedOut();
    }),
);
at('start').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = at('session-name').value.trim();
  const template = new FormData(at('start')).get('template');
  void attempt(async () => {
    const session = await ask('POST', '/v1/sessions', {template, ...(name !== '' && {name})});
    // An event may have told more of it already.
    if (!sessions.has(session.id)) sessions.set(session.id, session);
    at('session-name').value = '';
    showAll();
  });
});
at('all').addEventListener('change', listen);
// Times pass without any event.
setInterval(() => me && !document.hidden && showAll(), 5_000);
void attempt(begin);
