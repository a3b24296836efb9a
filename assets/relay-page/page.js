// The operators' page: shows each snapshot of the relay. All texts are set as text, never as HTML.

const at = (id) => document.getElementById(id);
const filter = at('filter');

let last;
let before;

/** @param {number} amount bytes, in powers of ten */
function bytes(amount) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = amount;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${value < 10 && unit > 0 ? Math.round(value * 10) / 10 : Math.round(value)} ${units[unit]}`;
}

function time(ms) {
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A list of names and values. An entry with `bad` is marked. */
function list(id, entries) {
  const rows = entries.map(([name, value, bad]) => {
    const row = element('div');
    row.append(element('dt', name), element('dd', String(value), bad ? 'bad' : ''));
    return row;
  });
  at(id).replaceChildren(...rows);
}

/** Bytes a second since the snapshot before. */
function rate(of) {
  if (before === undefined || last.now <= before.now) return '–';
  const amount = last.overview.counts[of] - before.overview.counts[of];
  return `${bytes((Math.max(0, amount) * 1000) / (last.now - before.now))}/s`;
}

function showNumbers() {
  const {counts} = last.overview;
  list('numbers', [
    ['Agents', counts.agents],
    ['Without a link', counts.agentsAway, counts.agentsAway > 0],
    ['Tunnels', counts.tunnels],
    ['Open visitors', counts.visitors],
    ['Visitors so far', counts.visitorsTotal],
    ['From visitors', rate('bytesIn')],
    ['To visitors', rate('bytesOut')],
    ...(counts.egressTotal > 0 ? [['Open by egress', counts.egress]] : []),
    ...(counts.members > 0 ? [['Members of networks', counts.members]] : []),
    ['Not admitted yet', counts.pending],
  ]);
}

function showRelay() {
  const {certificate, workers, startedAt, counts, refusals, probe, blocked} = last.overview;
  const leftMs = Date.parse(certificate.expiresAt) - last.now;
  const kind = certificate.kind === 'given' ? 'Certificate' : 'Own CA';
  const ends = leftMs < 0 ? `ended ${time(-leftMs)} ago` : `ends in ${time(leftMs)}`;
  list('relay', [
    ['Address', last.url],
    ['Runs for', time(last.now - Date.parse(startedAt))],
    [kind, ends, leftMs < 14 * 86_400_000],
    ['Workers', workers.length === 0 ? 'one process' : workers.join(', ')],
    ['Memory', bytes(counts.memoryBytes)],
    ['Processor time', `${Math.round(counts.cpuSeconds)} s`],
    ['Bytes in', bytes(counts.bytesIn)],
    ['Bytes out', bytes(counts.bytesOut)],
    ['Blocked', blocked],
    ...(probe ? [['Own probe', probe.ok ? 'goes through' : `${probe.leg}: ${probe.reason}`, !probe.ok]] : []),
  ]);
  const reasons = Object.entries(refusals);
  const shown = reasons.map(([reason, times]) => [reason.replaceAll('_', ' '), times]);
  list('refusals', reasons.length > 0 ? shown : [['none', 0]]);
  list('limits', last.limits);
}

function cell(label, text, className) {
  const made = element('td', text, className);
  made.dataset.label = label;
  return made;
}

function showTunnels() {
  const wanted = filter.value.trim().toLowerCase();
  const all = last.sessions.flatMap((session) => session.tunnels.map((tunnel) => ({session, tunnel})));
  const fitting = all.filter(({session: {owner, from, session}, tunnel: {address, key}}) =>
    [owner, from, session, address, key].some((text) => text.toLowerCase().includes(wanted)),
  );
  const rows = fitting.map(({session, tunnel}) => {
    const row = element('tr');
    const away = session.awayMs === undefined ? '' : `, without a link for ${time(session.awayMs)}`;
    row.append(
      cell('Name', tunnel.address.replace(/^https:\/\//, '')),
      cell('Owner', session.owner),
      cell('Agent', `${session.session} ${session.from} ${session.software}${away}`, away && 'bad'),
      cell('Visitors', `${tunnel.visitors} of ${tunnel.visitorsTotal}`, 'number'),
      cell('In', bytes(tunnel.bytesIn), 'number'),
      cell('Out', bytes(tunnel.bytesOut), 'number'),
    );
    return row;
  });
  at('tunnels').replaceChildren(...rows);
  const {tunnels} = last.overview.counts;
  at('tunnels-caption').textContent =
    fitting.length === tunnels ? `${tunnels} in all` : `${fitting.length} of ${tunnels} are shown`;
}

/** A table that is shown when it has rows. */
function table(id, rows, caption) {
  at(`${id}-section`).hidden = rows.length === 0;
  at(`${id}-caption`).textContent = caption;
  at(id).replaceChildren(...rows);
}

function showEgresses() {
  const rows = last.egresses.map(({egress, addresses, owners, connections}) => {
    const row = element('tr');
    const places = cell('Addresses', '');
    const list = element('span');
    for (const {address, healthy} of addresses)
      list.append(element('span', healthy ? address : `${address}, lost`, healthy ? 'item' : 'item bad'));
    places.append(list);
    const most = owners.slice(0, 3).map(({owner, connections: open}) => `${owner} ${open}`);
    const more = owners.length > most.length ? `, ${owners.length - most.length} more` : '';
    row.append(
      cell('Name', egress),
      places,
      cell('Owners', `${most.join(', ')}${more}` || '–'),
      cell('Connections', connections, 'number'),
    );
    return row;
  });
  const {egress, egressTotal} = last.overview.counts;
  table('egresses', rows, `${egress} connections open, ${egressTotal} so far`);
}

function showNetworks() {
  const rows = last.networks.flatMap(({network, members}) =>
    members.map(({name, address, owner, session, accepts, bytesIn, bytesOut}) => {
      const row = element('tr');
      row.append(
        cell('Network', network, 'key'),
        cell('Member', `${name} ${address}${accepts ? '' : ', takes no connections'}`),
        cell('Owner', owner),
        cell('Agent', session, 'key'),
        cell('In', bytes(bytesIn), 'number'),
        cell('Out', bytes(bytesOut), 'number'),
      );
      return row;
    }),
  );
  const {members} = last.overview.counts;
  const shown = rows.length < members ? `${rows.length} of ${members} are shown` : `${members} in all`;
  table('networks', rows, `Members: ${shown}. Bytes are those that this relay has carried.`);
}

function state(text, isBad) {
  const shown = at('state');
  // A screen reader reads a change of this text.
  if (shown.textContent !== text) shown.textContent = text;
  shown.classList.toggle('bad', isBad);
}

function show() {
  at('title').textContent = `${last.domain}`;
  document.title = `${last.domain} – tunl relay`;
  state(last.isDraining ? 'shutting down' : `running, ${last.software}`, last.isDraining);
  showNumbers();
  showTunnels();
  showEgresses();
  showNetworks();
  showRelay();
}

filter.addEventListener('input', () => last && showTunnels());

const feed = new EventSource('/events');
feed.addEventListener('message', ({data}) => {
  before = last;
  last = JSON.parse(data);
  show();
});
feed.addEventListener('error', () => state('no answer from the relay, trying again', true));
